# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
from typing import Dict, List, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from .mlp import MLP

#: What transformers start from.
INIT = [dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
        dict(type='Constant', layer='LayerNorm', val=1., bias=0.)]


class BoxAttention(BaseModule):
    """Attention among the boxes of a clip and remembered ones.

    No pooling, no positions; the projected query is added to the output.
    """

    def __init__(self, dims: int, num_heads: int, attn_drop: float,
                 qkv_drop: float, proj_drop: float) -> None:
        super().__init__()
        if dims % num_heads:
            raise ValueError(f'num_heads is {num_heads}, but must divide the '
                             f'{dims} channels of the boxes')
        self.num_heads = num_heads
        self.q, self.k, self.v, self.proj = (
            nn.Linear(dims, dims) for _ in range(4))
        self.attn_drop = attn_drop
        self.qkv_drop = nn.Dropout(qkv_drop)
        self.proj_drop = nn.Dropout(proj_drop)

    def _heads(self, layer: nn.Linear, x: Tensor) -> Tensor:
        """(B, N, C) to (B, heads, N, C / heads)."""
        x = self.qkv_drop(layer(x))
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, seen: Tensor) -> Tensor:
        """Attend from ``x`` (B, S, C) to ``keys`` (B, N, C) that are ``seen``.

        Where a lane sees none (bool, (B, N)), its output is finite and means
        nothing.
        """
        q = self._heads(self.q, x)
        k, v = self._heads(self.k, keys), self._heads(self.v, keys)
        # A very low number rather than -inf: a row that sees nothing must
        # not become NaN, which would reach the gradients of the weights. Not
        # the lowest, as kernels multiply it by log2(e).
        bias = torch.zeros_like(seen, dtype=q.dtype).masked_fill_(
            ~seen, torch.finfo(q.dtype).min / 4)
        out = F.scaled_dot_product_attention(
            q, k, v,
            attn_mask=bias[:, None, None].expand(-1, -1, q.shape[2], -1),
            dropout_p=self.attn_drop if self.training else 0.)
        out = (out + q).transpose(1, 2).flatten(2)
        return self.proj_drop(self.proj(out))


class BoxBlock(BaseModule):
    """Transformer block over boxes with memory (MeMViT's AVA head).

    What is remembered are the normalised inputs of earlier clips' boxes,
    uncompressed.

    Args:
        dims (int): Channels C. Defaults to 768.
        num_heads (int): Must divide ``dims``. Defaults to 8.
        mlp_ratio (float): Hidden width of the MLP. Defaults to 4.
        attn_drop (float): Dropout of attention weights. Defaults to 0.5.
        qkv_drop (float): Dropout of q, k and v. Defaults to 0.3.
        drop (float): Dropout of attention's output and in the MLP. Defaults
            to 0.3.
        norm_eps (float): Defaults to 1e-6.
        init_cfg (dict | list[dict], optional): Defaults to truncated normal
            initialisation.
    """

    def __init__(self, dims: int = 768, num_heads: int = 8,
                 mlp_ratio: float = 4., attn_drop: float = 0.5,
                 qkv_drop: float = 0.3, drop: float = 0.3,
                 norm_eps: float = 1e-6,
                 init_cfg: Optional[Union[Dict, List[Dict]]] = INIT) -> None:
        super().__init__(init_cfg=copy.deepcopy(init_cfg))
        self.norm1 = nn.LayerNorm(dims, eps=norm_eps)
        self.attn = BoxAttention(dims, num_heads, attn_drop, qkv_drop, drop)
        self.norm2 = nn.LayerNorm(dims, eps=norm_eps)
        self.mlp = MLP(dims, int(dims * mlp_ratio), drop=drop)

    def forward(self, x: Tensor, seen: Tensor, past: Tensor,
                past_seen: Tensor) -> Tuple[Tensor, Tensor]:
        """One clip's boxes (B, S, C), past ones (B, N, C), and masks of both.

        Returns:
            tuple[Tensor]: Boxes (B, S, C), and what to remember, (B, S, C).
        """
        normed = self.norm1(x)
        x = x + self.attn(normed, torch.cat((past, normed), 1),
                          torch.cat((past_seen, seen), 1))
        return x + self.mlp(self.norm2(x)), normed
