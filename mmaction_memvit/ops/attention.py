# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Attention with decomposed relative positions as one fused call.

The score of a query-key pair is ``scale * q.k + q.R_t + q.R_h + q.R_w``. The
three position terms are inner products too: of the query's scores against the
few frames, rows and columns of the key grid with the key's one-hot position.
Written into extra channels of queries and keys, they let
``scaled_dot_product_attention`` compute everything, and no query-by-key
tensor is ever stored. Keys to be ignored get a large negative number in one
more channel.

Queries and keys are tokens, each lane's class token first.
:func:`explicit_attention` is the definition, :func:`fused_attention` what
runs.
"""
import math
from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .constants import constant, is_compiling

Size = Tuple[int, int, int]
# The product of the two is what hides a key: exp() of it is exactly 0. Each
# is a power of two, so exact in float16 and bfloat16.
_HIDE_Q, _HIDE_K = 16., -2048.
# CPU kernels are fastest, GPU kernels possible, at multiples of 8 channels.
_ALIGN = 8


class AxisTables(NamedTuple):
    """Position vectors of every query-key pair, an axis each.

    Args:
        t (Tensor): (T_q, T_k, C).
        h (Tensor): (H_q, H_k, C).
        w (Tensor): (W_q, W_k, C).
    """
    t: Tensor
    h: Tensor
    w: Tensor


class Layout(NamedTuple):
    """Which queries and keys there are.

    The keys of a lane are the attended memory entries, oldest first and each
    led by its class token, then the current class token, then the current
    grid.

    Args:
        q_size (tuple[int]): Grid (T, H, W) of the queries.
        k_size (tuple[int]): Grid of the current keys.
        entry_size (tuple[int]): Grid (T", H", W") of one memory entry.
        num_entries (int): Attended entries, M.
        causal (bool): Whether queries see past frames of the clip only, and
            nobody the current class token.
    """
    q_size: Size
    k_size: Size
    entry_size: Size = (0, 0, 0)
    num_entries: int = 0
    causal: bool = False


# Functions, as torch < 2.9 does not compile properties of named tuples.
def key_grids(layout: Layout) -> Tuple[Size, ...]:
    """Grids (T, H, W) of the current and of all remembered keys."""
    if not layout.num_entries:
        return (layout.k_size, )
    frames, height, width = layout.entry_size
    return layout.k_size, (layout.num_entries * frames, height, width)


def num_channels(layout: Layout) -> Tuple[int, int]:
    """Position channels, and those with the one that hides.

    One-hot positions of an axis add up to one, so the first row and column of
    a key grid need no channel of their own: what they score goes to every
    frame.
    """
    used = sum([t + h + w - 2 for t, h, w in key_grids(layout)])
    return used, used + int(layout.num_entries > 0 or layout.causal)


def extra_channels(layout: Layout, channels: int) -> int:
    """All extra channels E of heads of a width, those that fill included."""
    num = channels + num_channels(layout)[1]
    return num + -num % _ALIGN - channels


def fold_tables(current: AxisTables, memory: Optional[AxisTables],
                extra: int) -> Tensor:
    """Vectors whose inner products with a query are its extra channels.

    The extra channels are the frames of the clip and of the memory, then
    rows, then columns, likewise, then what hides and fills.

    Args:
        current (AxisTables): Vectors of the current clip's keys.
        memory (AxisTables, optional): Vectors of the memory's keys.
        extra (int): Extra channels E.

    Returns:
        Tensor: (T + H + W, E, C). A query at (t, h, w) takes the sum of the
        three parts. It is linear in the tables.
    """
    kinds = [current] if memory is None else [current, memory]

    def first(axis: int) -> Tensor:
        # The first row or column scores for every frame of its kind.
        return [x[axis][:, :1].expand(-1, x.t.shape[1], -1) for x in kinds]

    def rest(axis: int) -> Tensor:
        return [x[axis][:, 1:] - x[axis][:, :1] for x in kinds]

    rows = sum(x.h.shape[1] - 1 for x in kinds)
    parts = [
        torch.cat([x.t for x in kinds], dim=1),
        torch.cat(first(1) + rest(1), dim=1),
        torch.cat([
            *first(2),
            current.w.new_zeros(current.w.shape[0], rows, current.w.shape[2]),
            *rest(2)
        ], dim=1)
    ]
    return torch.cat(
        [F.pad(x, (0, 0, 0, extra - x.shape[1])) for x in parts])


@constant
def _query_bias(layout: Layout, extra: int, dtype: torch.dtype,
                device: torch.device) -> Tensor:
    """What is added to the extra channels of queries: (T, E) or (1, E)."""
    frames = layout.q_size[0] if layout.causal else 1
    channel = torch.arange(extra, device=device)
    used, hiding = num_channels(layout)
    bias = _HIDE_Q * ((channel >= used) & (channel < hiding))
    future = channel > torch.arange(frames, device=device)[:, None]
    future = future & (channel < frames) & layout.causal
    return (bias + _HIDE_Q * _HIDE_K * future).to(dtype)


def _tokens(layout: Layout) -> Tuple[int, int]:
    """Keys of one entry and of the clip, class tokens included."""
    return 1 + math.prod(layout.entry_size), 1 + math.prod(layout.k_size)


@constant
def _key_positions(layout: Layout, extra: int, dtype: torch.dtype,
                   device: torch.device) -> Tensor:
    """Extra channels of keys of which none is hidden by the memory: (K, E).

    One-hot positions; class tokens have none.
    """
    channel = torch.arange(extra, device=device)
    grids = key_grids(layout)
    frames = sum(x[0] for x in grids)
    starts = [0, frames, frames + sum(x[1] - 1 for x in grids)]
    parts = []
    for size in grids:
        hot = torch.zeros((), dtype=torch.bool, device=device)
        for axis, skip in enumerate((0, 1, 1)):
            # The first row and column have no channel.
            place = torch.arange(size[axis], device=device) - skip
            own = channel == (place + starts[axis])[:, None]
            own = own & (place >= 0)[:, None]
            shape = [1, 1, 1, extra]
            shape[axis] = size[axis]
            hot = hot | own.view(shape)
            starts[axis] += size[axis] - skip
        parts.append(hot.flatten(0, 2).to(dtype))
    cls = channel == num_channels(layout)[0]
    cls = (_HIDE_K * (cls & layout.causal)).to(dtype)[None]
    past = [
        F.pad(x, (0, 0, 1, 0)) for x in parts[-1].chunk(layout.num_entries)
    ] if layout.num_entries else []
    return torch.cat((*past, cls, parts[0]))


@constant
def _entry_hides(layout: Layout, extra: int, dtype: torch.dtype,
                 device: torch.device) -> Tensor:
    """(M, K * E): what a hidden entry adds to the channels of the keys."""
    num, (past, current) = layout.num_entries, _tokens(layout)
    entry = torch.arange(num * past + current, device=device) // past
    hides = entry == torch.arange(num, device=device)[:, None]
    column = torch.arange(extra, device=device) == num_channels(layout)[0]
    return (_HIDE_K * (hides[..., None] & column)).flatten(1).to(dtype)


def key_channels(layout: Layout, hidden: Optional[Tensor], extra: int,
                 dtype: torch.dtype, device: torch.device) -> Tensor:
    """Extra channels of all keys.

    Args:
        layout (Layout): Which keys there are.
        hidden (Tensor, optional): Bool, (B, M), oldest entry first: True for
            those to ignore. None without memory.
        extra (int): Extra channels E.
        dtype (torch.dtype): Of the keys.
        device (torch.device): Of the keys.

    Returns:
        Tensor: (B, K, E), or (1, K, E) without memory.
    """
    keys = Layout((), layout.k_size, layout.entry_size, layout.num_entries,
                  layout.causal)
    positions = _key_positions(keys, extra, dtype, device)
    if hidden is None:
        return positions[None]
    hides = _entry_hides(keys, extra, dtype, device)
    # Exact in any dtype: a row of either has one number that is not zero.
    return torch.addmm(positions.view(-1), hidden.to(dtype),
                       hides).view(hidden.shape[0], -1, extra)


def fold_queries_definition(q: Tensor, folded: Tensor, bias: Tensor,
                            size: Size) -> Tuple[Tensor, Tensor]:
    """Queries with their extra channels, and those of the grid without.

    Args:
        q (Tensor): (B, 1 + T*H*W, heads, C).
        folded (Tensor): :func:`fold_tables` divided by attention's scale.
        bias (Tensor): Added to the extra channels, (T, E) or (1, E).
        size (tuple[int]): (T, H, W).

    Returns:
        tuple[Tensor]: (B, 1 + T*H*W, heads, C + E) and (B, T*H*W, heads, C).
    """
    b, _, n, _ = q.shape
    e = folded.shape[1]
    grid = q[:, 1:].unflatten(1, size)
    by_t, by_h, by_w = (x.transpose(1, 2) for x in folded.split(size))
    by_th = by_t[:, None] + by_h
    extra = torch.matmul(grid.flatten(3, 4), by_th).unflatten(3, (-1, n))
    extra = extra + torch.matmul(grid, by_w)
    extra = extra + bias.view(1, -1, 1, 1, 1, e)
    # The class query has no position; it hides what the others hide.
    cls = bias[-1].expand(b, 1, n, e)
    extra = torch.cat((cls, extra.flatten(1, 3)), dim=1)
    return torch.cat((q, extra), dim=-1), q[:, 1:]


def unfold_output_definition(out: Tensor, grid: Optional[Tensor],
                             channels: int) -> Tensor:
    """Channels that are the output; the grid's queries added, if given."""
    tokens = out.transpose(1, 2)[..., :channels]
    if grid is None:
        return tokens.contiguous()
    return torch.cat((tokens[:, :1], tokens[:, 1:] + grid), dim=1)


class _FoldQueries(Function):
    """:func:`fold_queries_definition` in few kernels.

    The grid's queries are a second result for the gradient of what they are
    added to later to join this one in one pass.
    """

    @staticmethod
    def forward(ctx, q: Tensor, folded: Tensor, bias: Tensor,
                size: Size) -> Tuple[Tensor, Tensor]:
        (t, h, w), (b, _, n, c), e = size, q.shape, folded.shape[1]
        grid = q[:, 1:].reshape(-1, w * n, c)
        by_t, by_h, by_w = folded.split(size)
        by_th = by_t[:, None] + by_h
        # (B*T*H, W*n, C) x (B*T*H, C, E)
        extra = torch.baddbmm(
            bias.view(1, -1, 1, e).expand(b, t, h, e).reshape(-1, 1, e), grid,
            by_th.expand(b, t, h, e, c).reshape(-1, e, c).transpose(1, 2))
        # (W*n, B*T*H, C) x (W*n, C, E), added to the same
        by_w = by_w[:, None].expand(w, n, e, c).reshape(-1, e, c)
        extra.transpose(0, 1).baddbmm_(
            grid.transpose(0, 1), by_w.transpose(1, 2))
        wide = q.new_empty(*q.shape[:3], c + e)
        wide[..., :c].copy_(q)
        wide[:, 1:, :, c:].copy_(extra.view(b, -1, n, e))
        # The class query has no position; it hides what the others hide.
        wide[:, 0, :, c:].copy_(bias[-1])
        ctx.save_for_backward(q, by_th, by_w)
        ctx.size = size
        return wide, q[:, 1:]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor,
                 grad_grid: Tensor) -> Tuple[Optional[Tensor], ...]:
        q, by_th, by_w = ctx.saved_tensors
        (t, h, w), (b, _, n, c), e = ctx.size, q.shape, by_th.shape[2]
        grid = q[:, 1:].reshape(-1, w * n, c)
        extra = grad[:, 1:, :, c:].reshape(-1, w * n, e)
        own = (grad[:, 1:, :, :c] + grad_grid).view(-1, w * n, c)
        own.baddbmm_(extra, by_th.expand(b, t, h, e, c).reshape(-1, e, c))
        own.transpose(0, 1).baddbmm_(extra.transpose(0, 1), by_w)
        grad_q = torch.cat((grad[:, :1, :, :c], own.view(b, -1, n, c)), dim=1)
        grad_th = torch.bmm(extra.transpose(1, 2), grid).view(b, t, h, e, c)
        grad_w = torch.bmm(
            extra.permute(1, 2, 0), grid.transpose(0, 1)).view(w, n, e, c)
        grad_folded = torch.cat(
            (grad_th.sum((0, 2)), grad_th.sum((0, 1)), grad_w.sum(1)))
        return grad_q, grad_folded, None, None


class _UnfoldOutput(Function):
    """:func:`unfold_output_definition` in few kernels."""

    @staticmethod
    def forward(ctx, out: Tensor, grid: Optional[Tensor],
                channels: int) -> Tensor:
        ctx.width = out.shape[-1]
        ctx.residual = grid is not None
        tokens = out.transpose(1, 2)[..., :channels].contiguous()
        if grid is not None:
            tokens[:, 1:].add_(grid)
        return tokens

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        wide = F.pad(grad, (0, ctx.width - grad.shape[-1])).transpose(1, 2)
        return wide, grad[:, 1:] if ctx.residual else None, None


def fused_attention(q: Tensor, k: Tensor, v: Tensor, folded: Tensor,
                    channels: Tensor, layout: Layout, scale: float,
                    residual: bool) -> Tensor:
    """Attend with one fused call for all queries.

    Args:
        q (Tensor): Queries, (B, 1 + T*H*W, heads, C).
        k (Tensor): Keys, (B, K, heads, C), in the order of the layout.
        v (Tensor): Values, like the keys.
        folded (Tensor): :func:`fold_tables` divided by ``scale``.
        channels (Tensor): :func:`key_channels` of the keys.
        layout (Layout): Which queries and keys there are.
        scale (float): Of q.k; the position terms are not scaled.
        residual (bool): Whether the grid's queries are added to the output.

    Returns:
        Tensor: Like the queries, contiguous.
    """
    b, _, n, c = k.shape
    extra = folded.shape[1]
    bias = _query_bias(layout, extra, q.dtype, q.device)
    # The compiler fuses by itself.
    fold, unfold = (fold_queries_definition, unfold_output_definition) \
        if is_compiling() else (_FoldQueries.apply, _UnfoldOutput.apply)
    q_wide, grid = fold(q, folded.to(q.dtype), bias, layout.q_size)
    k_wide = torch.cat((k, channels[:, :, None].expand(b, -1, n, -1)), dim=-1)
    out = F.scaled_dot_product_attention(
        q_wide.transpose(1, 2),
        k_wide.transpose(1, 2),
        F.pad(v, (0, extra)).transpose(1, 2),
        scale=scale)
    return unfold(out, grid if residual else None, c)


def _axis_scores(q: Tensor,
                 tables: AxisTables) -> Tuple[Tensor, Tensor, Tensor]:
    """Inner products of queries with the position vectors of each axis.

    Args:
        q (Tensor): (B, T, H, W, heads, C), contiguous.
        tables (AxisTables): Of (T, K_t, C), (H, K_h, C) and (W, K_w, C).

    Returns:
        tuple[Tensor]: (B, T, H, W, heads, K) for K of K_t, K_h and K_w.
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
        by_w[:, None].expand(-1, n, -1, -1).flatten(0, 1)).transpose(0, 1)
    return tuple(x.reshape(b, t, h, w, n, -1)
                 for x in (score_t, score_h, score_w))


def _pair_scores(q: Tensor, current: AxisTables,
                 memory: Optional[AxisTables], layout: Layout) -> Tensor:
    """Position scores of all pairs of a grid query and a key.

    Returns:
        Tensor: (B, heads, T*H*W, K).
    """

    def scores(tables: AxisTables, causal: bool) -> Tensor:
        s_t, s_h, s_w = _axis_scores(
            q, AxisTables(*(x.to(q.dtype) for x in tables)))
        if causal:
            frames = s_t.shape[1]
            future = torch.ones(
                frames, frames, dtype=torch.bool, device=q.device).triu(1)
            s_t = s_t.masked_fill(
                future.view(1, frames, 1, 1, 1, frames), float('-inf'))
        # (B, T, H, W, n, K) each -> (B, n, T*H*W, K_t, K_h, K_w)
        s_t, s_h, s_w = (
            x.movedim(4, 1).flatten(2, 4) for x in (s_t, s_h, s_w))
        return (s_t[..., :, None, None] + s_h[..., None, :, None] +
                s_w[..., None, None, :])

    pairs = F.pad(scores(current, layout.causal).flatten(3), (1, 0))
    if memory is None:
        return pairs
    # (B, n, N, M*T", H", W") -> (B, n, N, M, 1 + T"*H"*W")
    past = scores(memory, False).unflatten(
        3, (layout.num_entries, -1)).flatten(4)
    return torch.cat((F.pad(past, (1, 0)).flatten(3), pairs), dim=-1)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, current: AxisTables,
                       memory: Optional[AxisTables],
                       hidden: Optional[Tensor], layout: Layout, scale: float,
                       residual: bool) -> Tensor:
    """The same as :func:`fused_attention`, term by term.

    Stores the scores. For counting operations, for exporting and for tests.

    Args:
        current (AxisTables): Vectors of the current clip's keys.
        memory (AxisTables, optional): Vectors of the memory's keys.
        hidden (Tensor, optional): Bool, (B, M), True for entries to ignore.
    """
    scores = torch.matmul(
        q.transpose(1, 2) * scale, k.permute(0, 2, 3, 1))
    grid = q[:, 1:].contiguous()
    pairs = _pair_scores(
        grid.unflatten(1, layout.q_size), current, memory, layout)
    # The class query has no position.
    scores = scores + F.pad(pairs, (0, 0, 1, 0))
    tokens, own = _tokens(layout)
    ignore = torch.zeros(len(k), own, dtype=torch.bool, device=k.device)
    if layout.causal:
        ignore[:, 0] = True
    if hidden is not None:
        past = hidden[:, :, None].expand(-1, -1, tokens).flatten(1)
        ignore = torch.cat((past, ignore), dim=1)
    scores = scores.masked_fill(ignore[:, None, None], float('-inf'))
    out = torch.matmul(scores.softmax(dim=-1), v.transpose(1, 2))
    out = out.transpose(1, 2)
    if residual:
        out = torch.cat((out[:, :1], out[:, 1:] + grid), dim=1)
    return out
