# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""GPT-2 over vectors: each looks at those before it and at itself."""
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn


class CausalBlock(BaseModule):
    """Transformer block of GPT-2, norms first.

    Args:
        dims (int): Channels C; the MLP's hidden layer is 4 times as wide.
        num_heads (int): Heads.
        drop (float): Dropout of attention weights and of both branches.
    """

    def __init__(self, dims: int, num_heads: int, drop: float) -> None:
        super().__init__()
        if dims % num_heads:
            raise ValueError(f'num_heads={num_heads} must divide the {dims} '
                             'channels')
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(dims)
        self.qkv = nn.Linear(dims, 3 * dims)
        self.proj = nn.Linear(dims, dims)
        self.norm2 = nn.LayerNorm(dims)
        self.fc1 = nn.Linear(dims, 4 * dims)
        self.fc2 = nn.Linear(4 * dims, dims)
        self.drop = nn.Dropout(drop)

    def _attend(self, x: Tensor, seen: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(
            -1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        drop = self.drop.p if self.training else 0.
        out = F.scaled_dot_product_attention(q, k, v, seen, drop)
        return self.proj(out.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """One block.

        Args:
            x (Tensor): (B, T, C).
            seen (Tensor): Bool, (B or 1, 1, T, T): who looks at whom, at
                least at itself.

        Returns:
            Tensor: (B, T, C).
        """
        x = x + self.drop(self._attend(self.norm1(x), seen))
        hidden = F.gelu(self.fc1(self.norm2(x)), approximate='tanh')
        return x + self.drop(self.fc2(hidden))


class CausalTransformer(BaseModule):
    """GPT-2 over vectors instead of words.

    Args:
        dims (int): Channels C. Defaults to 2048, as in AVT.
        num_layers (int): Blocks. Defaults to 6.
        num_heads (int): Heads. Defaults to 4.
        max_len (int): Learned positions. Defaults to 1024.
        drop (float): Dropout. Defaults to 0.1.
    """

    def __init__(self, dims: int = 2048, num_layers: int = 6,
                 num_heads: int = 4, max_len: int = 1024,
                 drop: float = 0.1) -> None:
        super().__init__()
        self.positions = nn.Embedding(max_len, dims)
        self.blocks = ModuleList(
            [CausalBlock(dims, num_heads, drop) for _ in range(num_layers)])
        self.norm = nn.LayerNorm(dims)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor, length: Optional[Tensor] = None) -> Tensor:
        """Run.

        Args:
            x (Tensor): (B, T, C), T at most ``max_len``.
            length (Tensor, optional): (B, ), int64: how many vectors, the
                last ones, there are; what comes out for others means nothing.
                Defaults to None: all.

        Returns:
            Tensor: (B, T, C).

        Raises:
            ValueError: If there are more than ``max_len``.
        """
        num, most = x.shape[1], self.positions.num_embeddings
        if num > most:
            raise ValueError(f'{num} vectors are more than the {most} learned '
                             f'positions: raise max_len={most}, or give '
                             'fewer at a time')
        index = torch.arange(num, device=x.device)
        seen = index <= index[:, None]
        if length is None:
            x = x + self.positions(index)
            seen = seen[None, None]
        else:
            first = num - length[:, None]
            x = x + self.positions((index - first).clamp(min=0))
            # A row that sees nothing would be NaN.
            own = index == index[:, None]
            seen = (seen & (index >= first)[:, None] | own)[:, None]
        x = self.drop(x)
        for block in self.blocks:
            x = block(x, seen)
        return self.norm(x)
