# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Attention with decomposed relative positions as one fused call.

The score of a query-key pair is ``scale * q.k + q.R_t + q.R_h + q.R_w``. The
three position terms are inner products too: of the query's scores against the
few frames, rows and columns of the key grid with the key's one-hot position.
Written into extra channels of queries and keys, they let
``scaled_dot_product_attention`` compute everything, and no query-by-key
tensor is ever stored. Keys to be ignored get a large negative number in one
more channel.
"""
from typing import List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .relative_position import AxisTables

# The product of the two is what hides a key: exp() of it is exactly 0. Each
# is a power of two, so exact in float16 and bfloat16.
_HIDE_Q, _HIDE_K = 16., -2048.
# CPU kernels are fastest, GPU kernels possible, at multiples of 8 channels.
_ALIGN = 8


class Positions(NamedTuple):
    """Where the keys are, relative to the queries.

    Args:
        current (AxisTables): Vectors of the current clip's keys.
        size (tuple[int]): Their grid (T, H, W).
        memory (AxisTables, optional): Vectors of the memory's keys.
        memory_size (tuple[int]): Grid (T", H", W") of one entry.
        num_entries (int): Attended entries, M.
        causal (bool): Whether queries see past frames of the clip only.
    """
    current: AxisTables
    size: Tuple[int, int, int]
    memory: Optional[AxisTables] = None
    memory_size: Tuple[int, int, int] = (0, 0, 0)
    num_entries: int = 0
    causal: bool = False


def _axis_scores(q: Tensor,
                 tables: AxisTables) -> Tuple[Tensor, Tensor, Tensor]:
    """Inner products of queries with the position vectors of each axis.

    Args:
        q (Tensor): (B, T, H, W, heads, C), contiguous.
        tables (AxisTables): Of (T, K_t, C), (H, K_h, C) and (W, K_w, C).

    Returns:
        tuple[Tensor]: (B, T, H, W, heads, K) for K of K_t, K_h and K_w.
        Each is one batched product on a view of q: no copy is made.
    """
    b, t, h, w, n, c = q.shape
    by_t, by_h, by_w = [x.transpose(1, 2) for x in tables]
    # (B, T, H*W*n, C) x (T, C, K)
    score_t = torch.matmul(q.view(b, t, h * w * n, c), by_t)
    # (B*T, H, W*n, C) x (H, C, K)
    score_h = torch.matmul(q.view(b * t, h, w * n, c), by_h)
    # (W*n, B*T*H, C) x (W*n, C, K)
    score_w = torch.matmul(
        q.view(b * t * h, w * n, c).transpose(0, 1),
        by_w.repeat_interleave(n, dim=0)).transpose(0, 1)
    return tuple(x.reshape(b, t, h, w, n, -1)
                 for x in (score_t, score_h, score_w))


def _join(current: AxisTables, memory: Optional[AxisTables]) -> AxisTables:
    """Tables of both kinds of keys side by side, for one product an axis."""
    if memory is None:
        return current
    return AxisTables(*(torch.cat(pair, dim=1)
                        for pair in zip(current, memory)))


def _split(scores: Tuple[Tensor, ...],
           current: AxisTables) -> List[Tuple[Tensor, ...]]:
    """Undo :func:`_join` on the scores: current, then memory."""
    lengths = [x.shape[1] for x in current]
    return [
        tuple(s[..., :n] for s, n in zip(scores, lengths)),
        tuple(s[..., n:] for s, n in zip(scores, lengths))
    ]


def _future(frames: int, device: torch.device) -> Tensor:
    """Bool (T, T): True where the key's frame is after the query's."""
    return torch.ones(
        frames, frames, dtype=torch.bool, device=device).triu(1)


def _fold_first(table: Tensor) -> Tuple[Tensor, Tensor]:
    """First row of an axis, and the others less the first.

    One-hot positions of an axis add up to one, so the first row and column
    of the key grid need no channel of their own: what they score goes to
    every frame. With M = 2 that keeps the heads of MeMViT-16 at a width of
    128.

    Args:
        table (Tensor): (Q, K, C).

    Returns:
        tuple[Tensor]: (Q, 1, C) and (Q, K - 1, C).
    """
    first = table[:, :1]
    return first, table[:, 1:] - first


def _query_channels(q: Tensor, pos: Positions,
                    scale: float) -> List[Tensor]:
    """Position channels of the queries, in the order of the keys' channels.

    Returns:
        list[Tensor]: (B, T, H, W, heads, E) once concatenated.
    """
    kinds = [pos.current] if pos.memory is None else [pos.current, pos.memory]
    # First rows of both kinds, then the rest of both kinds: few slices.
    first_h, rest_h = zip(*(_fold_first(x.h) for x in kinds))
    first_w, rest_w = zip(*(_fold_first(x.w) for x in kinds))
    tables = AxisTables(
        torch.cat([x.t for x in kinds], dim=1),
        torch.cat((*first_h, *rest_h), dim=1),
        torch.cat((*first_w, *rest_w), dim=1))
    # The kernel scales all channels: undo it where no scale belongs.
    t, h, w = _axis_scores(
        q, AxisTables(*((x / scale).to(q.dtype) for x in tables)))
    num = len(kinds)
    first = h[..., :num] + w[..., :num]
    frames = t.split([x.t.shape[1] for x in kinds], dim=-1)
    parts = [x + first[..., i:i + 1] for i, x in enumerate(frames)]
    if pos.causal:
        future = _future(q.shape[1], q.device)[:, None, None, None]
        parts[0] = parts[0].masked_fill(future, _HIDE_Q * _HIDE_K)
    return [*parts, h[..., num:], w[..., num:]]


def _one_hots(size: Tuple[int, int, int], like: Tensor) -> List[Tensor]:
    """One-hot positions of a key grid, first row and column left out.

    Returns:
        list[Tensor]: (T*H*W, T), (T*H*W, H - 1) and (T*H*W, W - 1).
    """
    # Made in float32: older torch has no identity matrix in bfloat16.
    t, h, w = [torch.eye(n, device=like.device).to(like.dtype) for n in size]
    return [
        x.expand(*size, -1).flatten(0, 2)
        for x in (t[:, None, None], h[None, :, None, 1:], w[None, None, :, 1:])
    ]


def _lead_by_zeros(x: Tensor) -> Tensor:
    """(..., K, E) with a row of zeros in front, for a class token.

    Not by F.pad, which in older torch does not take E = 0 (a grid of one
    row or column).
    """
    return torch.cat([torch.zeros_like(x[..., :1, :]), x], dim=-2)


def _key_channels(pos: Positions, like: Tensor) -> Tensor:
    """Position channels of all keys, in their order: (K, E).

    The channels are those of :func:`_query_channels`: frames of the clip and
    of the memory, then rows, then columns, likewise. Class tokens have no
    position.
    """
    current = [_lead_by_zeros(x) for x in _one_hots(pos.size, like)]
    if pos.memory is None:
        return torch.cat(current, dim=1)
    num = pos.num_entries
    size = (num * pos.memory_size[0], *pos.memory_size[1:])
    # (M, T"*H"*W", E), each entry led by its class token
    entries = [
        _lead_by_zeros(x.unflatten(0, (num, -1))).flatten(0, 1)
        for x in _one_hots(size, like)
    ]
    return torch.cat(
        [torch.block_diag(c, e).roll(len(e), 0)
         for c, e in zip(current, entries)],
        dim=1)


def fused_attention(q_cls: Tensor, q: Tensor, k: Tensor, v: Tensor,
                    hidden: Optional[Tensor], pos: Positions,
                    scale: float) -> Tuple[Tensor, Tensor]:
    """Attend with one fused call for the grid and one for the class token.

    Args:
        q_cls (Tensor): Class query, (B, 1, heads, C).
        q (Tensor): Grid queries, (B, T, H, W, heads, C), contiguous.
        k (Tensor): Keys, (B, K, heads, C): the attended memory entries,
            oldest first and each led by its class token, then the current
            class token, then the current grid.
        v (Tensor): Values, like the keys.
        hidden (Tensor, optional): Bool, (B, K), True for keys to ignore.
        pos (Positions): Where the grid keys are.
        scale (float): Of q.k; the position terms are not scaled.

    Returns:
        tuple[Tensor]: (B, 1, heads, C) and (B, T, H, W, heads, C).
    """
    b, channels = q.shape[0], q.shape[-1]
    q_parts = [q, *_query_channels(q, pos, scale)]
    k_parts = [k, _key_channels(pos, q)[None, :, None].expand(
        b, -1, k.shape[2], -1)]
    # What the class query shares: the channel that hides, and the filling.
    q_parts_tail = []
    if hidden is not None:
        q_parts_tail.append(q.new_full((), _HIDE_Q).expand(*q.shape[:-1], 1))
        hide = hidden.to(k.dtype)[:, :, None, None] * _HIDE_K
        k_parts.append(hide.expand(-1, -1, k.shape[2], -1))
    extra = sum(x.shape[-1] for x in k_parts) - channels
    fill = -(channels + extra) % _ALIGN
    if fill:
        q_parts_tail.append(q.new_zeros(()).expand(*q.shape[:-1], fill))
    q_parts += q_parts_tail
    q_wide = torch.cat(q_parts, dim=-1)
    k_wide = F.pad(torch.cat(k_parts, dim=-1), (0, fill)).transpose(1, 2)
    v_wide = F.pad(v, (0, extra + fill)).transpose(1, 2)
    # The class query has no position; it hides what the others hide.
    blank = extra - (hidden is not None)
    q_cls_parts = [q_cls, q_cls.new_zeros(()).expand(*q_cls.shape[:-1], blank)]
    q_cls_parts += [x[:, :1, 0, 0] for x in q_parts_tail]
    q_cls_wide = torch.cat(q_cls_parts, dim=-1)

    def attend(x: Tensor) -> Tensor:
        out = F.scaled_dot_product_attention(
            x.transpose(1, 2), k_wide, v_wide, scale=scale)
        return out[..., :channels].transpose(1, 2)

    return attend(q_cls_wide), attend(q_wide.flatten(1, 3)).unflatten(
        1, q.shape[1:4])


def explicit_attention(q_cls: Tensor, q: Tensor, k: Tensor, v: Tensor,
                       hidden: Optional[Tensor], pos: Positions,
                       scale: float) -> Tuple[Tensor, Tensor]:
    """The same as :func:`fused_attention`, term by term.

    Stores the scores. For counting operations, for exporting and for tests.
    """
    b, t, h, w, n, _ = q.shape
    # (B, n, 1 + T*H*W, K)
    scores = torch.matmul(
        torch.cat((q_cls, q.flatten(1, 3)), dim=1).transpose(1, 2) * scale,
        k.permute(0, 2, 3, 1))
    tables = AxisTables(
        *(x.to(q.dtype) for x in _join(pos.current, pos.memory)))
    current, memory = _split(_axis_scores(q, tables), pos.current)
    if pos.causal:
        future = _future(t, q.device).view(1, t, 1, 1, 1, t)
        current = (current[0].masked_fill(future, float('-inf')),
                   *current[1:])

    def outer(parts: Tuple[Tensor, ...]) -> Tensor:
        # (B, T, H, W, n, K) each -> (B, n, T*H*W, K_t, K_h, K_w)
        s_t, s_h, s_w = (x.movedim(4, 1).flatten(2, 4) for x in parts)
        return (s_t[..., :, None, None] + s_h[..., None, :, None] +
                s_w[..., None, None, :])

    grid = F.pad(outer(current).flatten(3), (1, 0))
    if pos.memory is not None:
        # (B, n, N, M*T", H", W") -> (B, n, N, M, 1 + T"*H"*W")
        past = outer(memory).unflatten(3, (pos.num_entries, -1)).flatten(4)
        grid = torch.cat((F.pad(past, (1, 0)).flatten(3), grid), dim=-1)
    scores = scores + F.pad(grid, (0, 0, 1, 0))
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None, None], float('-inf'))
    out = torch.matmul(scores.softmax(dim=-1), v.transpose(1, 2))
    out = out.transpose(1, 2)
    return out[:, :1], out[:, 1:].unflatten(1, (t, h, w))
