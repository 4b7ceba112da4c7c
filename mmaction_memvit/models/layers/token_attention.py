# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Transformer layers over vectors, whose keys and values can be kept."""
from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaction_memvit.messages import check_whole

from .mlp import MLP
from .token_memory import Entries

#: Cosines and sines, (B, 1, N, C / heads / 2) each.
Turn = Tuple[Tensor, Tensor]


class Sight(NamedTuple):
    """What queries see.

    Args:
        seen (Tensor): Bool, (B or 1, T, N): which of N keys.
        query_turn (tuple[Tensor], optional): :func:`turn` of the queries.
            Defaults to None: time does not matter.
        key_turn (tuple[Tensor], optional): Of the keys, by the same clock.
        sink (bool): Whether there is an entry of zeros besides, for queries
            that may see none. Defaults to False.
    """
    seen: Tensor
    query_turn: Optional[Turn] = None
    key_turn: Optional[Turn] = None
    sink: bool = False


def turn(positions: Tensor, channels: int) -> Turn:
    """Rotations of queries or keys at positions (B, N).

    Scores then depend on how far apart the two are and on no common offset
    (`RoFormer <https://arxiv.org/abs/2104.09864>`_). In float32, whatever
    autocast says.
    """
    half = channels // 2
    steps = torch.arange(half, device=positions.device)
    angles = positions[:, None, :, None] * 10000.**(-steps / half)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, by: Optional[Turn]) -> Tensor:
    """Queries or keys (B, heads, N, C / heads), turned."""
    if by is None:
        return x
    cos, sin = by
    # As precise as the more precise of both.
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).to(x.dtype)


class TokenAttention(BaseModule):
    """Multi-head attention to keys and values that are given.

    Args:
        dims (int): Channels C.
        num_heads (int): Must divide ``dims``, into even parts.
        dropout (float): Of attention weights. Defaults to 0.
    """

    def __init__(self, dims: int, num_heads: int, dropout: float = 0.) -> None:
        super().__init__()
        check_whole('num_heads', num_heads)
        if dims % (2 * num_heads):
            raise ValueError(
                f'num_heads={num_heads} must divide embed_dims={dims} into '
                'even parts')
        self.num_heads = num_heads
        self.dropout = dropout
        self.q = nn.Linear(dims, dims)
        self.kv = nn.Linear(dims, 2 * dims)
        self.proj = nn.Linear(dims, dims)

    def heads(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, heads, N, C / heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def entries(self, x: Tensor) -> Entries:
        """Keys and values of vectors (B, N, C)."""
        return self.kv(x).chunk(2, -1)

    def forward(self, x: Tensor, entries: Entries,
                sight: Optional[Sight] = None) -> Tensor:
        """From (B, T, C) to entries (B, N, C), all or those in sight."""
        q, k, v = map(self.heads, (self.q(x), *entries))
        mask = None
        if sight is not None:
            q, k = rotate(q, sight.query_turn), rotate(k, sight.key_turn)
            mask = sight.seen[:, None]
            if sight.sink:
                k, v = F.pad(k, (0, 0, 1, 0)), F.pad(v, (0, 0, 1, 0))
                mask = F.pad(mask, (1, 0), value=True)
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.)
        return self.proj(out.transpose(1, 2).flatten(2))


class TokenBlock(BaseModule):
    """Self-attention, attention to a context, MLP; each normalised before.

    Args:
        dims (int): Channels C.
        num_heads (int): Must divide ``dims``, into even parts.
        mlp_ratio (float): Hidden width of the MLP. Defaults to 4.
        dropout (float): Of attention weights and of what each part adds.
            Defaults to 0.
        context (bool): Whether there is one. Defaults to False.
    """

    def __init__(self, dims: int, num_heads: int, mlp_ratio: float = 4.,
                 dropout: float = 0., context: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dims)
        self.attn = TokenAttention(dims, num_heads, dropout)
        if context:
            self.context_norm = nn.LayerNorm(dims)
            self.context_attn = TokenAttention(dims, num_heads, dropout)
        self.mlp_norm = nn.LayerNorm(dims)
        self.mlp = MLP(dims, int(dims * mlp_ratio), dropout)
        self.drop = nn.Dropout(dropout)

    def among(self, x: Tensor, past: Optional[Entries] = None,
              sight: Optional[Sight] = None) -> Tuple[Tensor, Entries]:
        """Vectors (B, T, C) see ``past`` entries (B, m, C) and each other.

        Returns:
            tuple: The vectors, and entries of both, (B, m + T, C).
        """
        x_norm = self.norm(x)
        entries = joined(past, self.attn.entries(x_norm))
        return x + self.drop(self.attn(x_norm, entries, sight)), entries

    def look_at(self, x: Tensor, entries: Entries,
                sight: Optional[Sight] = None) -> Tensor:
        """Vectors (B, T, C) see entries of the context."""
        out = self.context_attn(self.context_norm(x), entries, sight)
        return x + self.drop(out)

    def think(self, x: Tensor) -> Tensor:
        """The MLP, on (B, T, C)."""
        return x + self.mlp(self.mlp_norm(x))


def joined(past: Optional[Entries], new: Entries) -> Entries:
    """Entries of earlier clips, and those of this one behind them."""
    if past is None:
        return new
    return tuple(
        torch.cat((old.to(x.dtype), x), 1) for old, x in zip(past, new))
