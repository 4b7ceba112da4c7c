# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Queries, keys and values with and without the channels of positions.

Each is a copy that a step of attention cannot do without: one launch for all
three, where PyTorch takes six.
"""
from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .library import call, register, triton_form

Size = Tuple[int, int, int]


def _to_lines(x: Tensor, size: Size) -> Tensor:
    """(B, T*H*W, heads, C) to (T*H, B*heads*W, C)."""
    (t, h, w), (b, _, n, c) = size, x.shape
    return x.reshape(b, t * h, w, n, c).permute(1, 0, 3, 2, 4).reshape(
        t * h, b * n * w, c)


def from_lines(x: Tensor, batch: int, size: Size) -> Tensor:
    """(T*H, B*heads*W, C) to (B, T*H, W, heads, C), a view."""
    t, h, w = size
    return x.view(t * h, batch, -1, w, x.shape[-1]).permute(1, 0, 3, 2, 4)


def widen_definition(q: Tensor, extra: Tensor, bias: Tensor, k: Tensor,
                     channels: Tensor, v: Tensor,
                     size: Size) -> Tuple[Tensor, Tensor, Tensor]:
    """Append the extra channels of queries and keys, and zeros to values.

    Args:
        q (Tensor): (B, 1 + T*H*W, heads, C), the class token first.
        extra (Tensor): Of the grid's queries, (T*H, B*heads*W, E).
        bias (Tensor): Added to those, (T, E) or (1, E); its last row is what
            the class token has.
        k (Tensor): (B, K, heads, C).
        channels (Tensor): Of the keys, (B, K, E) or (1, K, E).
        v (Tensor): (B, K, heads, C).
        size (tuple[int]): Grid (T, H, W) of the queries.

    Returns:
        tuple[Tensor]: q, k and v with C + E channels.
    """
    b, _, n, c = q.shape
    e, frames = extra.shape[-1], bias.shape[0]
    wide = q.new_empty(*q.shape[:3], c + e)
    wide[..., :c].copy_(q)
    wide[:, 0, :, c:].copy_(bias[-1])
    more = extra.view(frames, -1, e) + bias[:, None]
    grid = from_lines(more.view_as(extra), b, size)
    wide[:, 1:, :, c:].unflatten(1, (-1, size[2])).copy_(grid)
    channels = channels[:, :, None].expand(b, -1, n, -1)
    return wide, torch.cat((k, channels), -1), F.pad(v, (0, e))


def narrow_definition(q: Tensor, k: Tensor, v: Tensor, grid: Tensor,
                      size: Size) -> Tuple[Tensor, ...]:
    """Take gradients of wide heads apart.

    Args:
        q (Tensor): (B, 1 + T*H*W, heads, C + E).
        k (Tensor): (B, K, heads, C + E).
        v (Tensor): Like k.
        grid (Tensor): Added to that of the grid's queries,
            (B, T*H*W, heads, C).
        size (tuple[int]): Grid (T, H, W).

    Returns:
        tuple[Tensor]: Of the grid's queries (T*H, B*heads*W, C) and of their
        extra channels (T*H, B*heads*W, E); of k and v, (B, K, heads, C).
    """
    c = grid.shape[-1]
    return (_to_lines(q[:, 1:, :, :c] + grid, size),
            _to_lines(q[:, 1:, :, c:], size), k[..., :c].contiguous(),
            v[..., :c].contiguous())


def widen(q: Tensor, extra: Tensor, bias: Tensor, k: Tensor, channels: Tensor,
          v: Tensor, size: Size) -> Tuple[Tensor, Tensor, Tensor]:
    """:func:`widen_definition`, without a gradient."""
    return call('widen', q, extra, bias, k, channels, v, size)


def narrow(q: Tensor, k: Tensor, v: Tensor, grid: Tensor,
           size: Size) -> Tuple[Tensor, ...]:
    """:func:`narrow_definition`, without a gradient."""
    return call('narrow', q, k, v, grid, size)


def lines(q: Tensor, size: Size) -> Tensor:
    """The grid's queries, (T*H, B*heads*W, C)."""
    return _to_lines(q[:, 1:], size)


def _widen(q: Tensor, extra: Tensor, bias: Tensor, k: Tensor, channels: Tensor,
           v: Tensor, size: List[int]) -> Tuple[Tensor, Tensor, Tensor]:
    form = triton_form(q, 'triton_widen')
    return (form.widen if form else widen_definition)(q, extra, bias, k,
                                                      channels, v, size)


def _widen_fake(q, extra, bias, k, channels, v, size):
    wide = q.shape[-1] + extra.shape[-1]
    return tuple(x.new_empty(*x.shape[:3], wide) for x in (q, k, v))


def _narrow(q: Tensor, k: Tensor, v: Tensor, grid: Tensor,
            size: List[int]) -> Tuple[Tensor, ...]:
    form = triton_form(q, 'triton_widen')
    return (form.narrow if form else narrow_definition)(q, k, v, grid, size)


def _narrow_fake(q, k, v, grid, size):
    c, rows = grid.shape[-1], (size[0] * size[1],
                               q.shape[0] * size[2] * q.shape[2])
    return (q.new_empty(*rows, c), q.new_empty(*rows, q.shape[-1] - c),
            *(x.new_empty(*x.shape[:3], c) for x in (k, v)))


register(
    'widen', '(Tensor q, Tensor extra, Tensor bias, Tensor k, '
    'Tensor channels, Tensor v, SymInt[] size) -> (Tensor, Tensor, Tensor)',
    _widen, _widen_fake)
register(
    'narrow', '(Tensor q, Tensor k, Tensor v, Tensor grid, SymInt[] size) -> '
    '(Tensor, Tensor, Tensor, Tensor)', _narrow, _narrow_fake)
