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
:mod:`.plain_attention` has the definition, :func:`fused_attention` is what
runs.
"""
from typing import Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .attention_channels import Layout, Size, query_bias
from .constants import constant
from .library import without_autocast
from .widen import from_lines, lines, narrow, widen


def fold_definition(q: Tensor, k: Tensor, v: Tensor, folded: Tensor,
                    channels: Tensor, bias: Tensor,
                    size: Size) -> Tuple[Tensor, ...]:
    """Queries, keys and values with their extra channels.

    Args:
        q (Tensor): (B, 1 + T*H*W, heads, C).
        k (Tensor): (B, K, heads, C).
        v (Tensor): (B, K, heads, C).
        folded (Tensor): :func:`fold_tables` divided by attention's scale.
        channels (Tensor): :func:`key_channels`, (B, K, E) or (1, K, E).
        bias (Tensor): Added to the extra channels, (T, E) or (1, E).
        size (tuple[int]): (T, H, W).

    Returns:
        tuple[Tensor]: The three with C + E channels, and the grid's queries
        without, (B, T*H*W, heads, C).
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
    channels = channels[:, :, None].expand(b, -1, n, -1)
    return (torch.cat((q, extra), dim=-1), torch.cat(
        (k, channels), dim=-1), F.pad(v, (0, e)), q[:, 1:])


def unfold_output_definition(out: Tensor, grid: Optional[Tensor],
                             channels: int) -> Tensor:
    """Channels that are the output; the grid's queries added, if given."""
    tokens = out.transpose(1, 2)[..., :channels]
    if grid is None:
        return tokens.contiguous()
    return torch.cat((tokens[:, :1], tokens[:, 1:] + grid), dim=1)


def by_column(x: Tensor, columns: int) -> Tensor:
    """(T*H, B*heads*W, C) as (W, T*H*B*heads, C)."""
    return x.view(-1, columns, x.shape[-1]).transpose(0, 1)


def make_folded(matrix: Tensor, size: Size, tables: Sequence[Tensor],
                dtype: torch.dtype) -> Tensor:
    """:func:`fold_tables` divided by attention's scale, by one product."""
    folded = matrix.mm(torch.cat(tables))
    return folded.view(sum(size), -1, folded.shape[1]).to(dtype)


def _fold(q: Tensor, k: Tensor, v: Tensor, folded: Tensor, channels: Tensor,
          bias: Tensor, size: Size) -> Tuple[Tensor, ...]:
    """:func:`fold_definition` in few kernels.

    Returns:
        tuple[Tensor]: Its results, and the tables that the gradient needs.
    """
    (t, h, w), (_, e, c) = size, folded.shape
    grid = lines(q, size)
    by_t, by_h, by_w = folded.split_with_sizes(size)
    by_th = (by_t[:, None] + by_h).view(t * h, e, c)
    extra = torch.bmm(grid, by_th.transpose(1, 2))
    by_column(extra, w).baddbmm_(by_column(grid, w), by_w.transpose(1, 2))
    wide = widen(q, extra, bias, k, channels, v, size)
    return (*wide, q[:, 1:], by_th, by_w)


class _Fold(Function):
    """:func:`_fold` with a gradient, of the tables, too.

    The grid's queries are a result, for the gradient of what they are added
    to later to join this one in one pass.
    """

    @staticmethod
    def forward(ctx, channels: Tensor, bias: Tensor, size: Size,
                matrix: Tensor, q: Tensor, k: Tensor, v: Tensor,
                *tables: Tensor) -> Tuple[Tensor, ...]:
        with without_autocast():
            folded = make_folded(matrix, size, tables, q.dtype)
            *outs, by_th, by_w = _fold(q, k, v, folded, channels, bias, size)
        ctx.save_for_backward(q, by_th, by_w)
        ctx.size, ctx.matrix = size, matrix
        ctx.rows = [len(x) for x in tables]
        return tuple(outs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, grad_k: Tensor, grad_v: Tensor,
                 grad_grid: Tensor) -> Tuple[Optional[Tensor], ...]:
        q, by_th, by_w = ctx.saved_tensors
        (t, h, w), (b, _, _, c), e = ctx.size, q.shape, by_th.shape[1]
        grid = lines(q, ctx.size)
        own, extra, grad_k, grad_v = narrow(grad, grad_k, grad_v, grad_grid,
                                            ctx.size)
        own.baddbmm_(extra, by_th)
        by_column(own, w).baddbmm_(by_column(extra, w), by_w)
        grad_q = torch.empty_like(q)
        grad_q[:, 0].copy_(grad[:, 0, :, :c])
        grad_q[:, 1:].view(b, -1, w, *q.shape[2:]).copy_(
            from_lines(own, b, ctx.size))
        grad_th = torch.bmm(extra.transpose(1, 2), grid).view(t, h, e, c)
        grad_w = torch.bmm(
            by_column(extra, w).transpose(1, 2), by_column(grid, w))
        matrix = ctx.matrix
        folded = torch.cat((grad_th.sum(1), grad_th.sum(0), grad_w))
        tables = matrix.t().mm(folded.view(-1, c).to(matrix.dtype))
        return (None, None, None, None, grad_q, grad_k, grad_v,
                *tables.split_with_sizes(ctx.rows))


@constant
def _on_grid(num: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 for tokens of the grid, 0 for the class token, (N, 1, 1)."""
    return (torch.arange(num, device=device) > 0).to(dtype)[:, None, None]


def _unfold(out: Tensor, q: Optional[Tensor], channels: int) -> Tensor:
    """:func:`unfold_output_definition` in one kernel, of all queries."""
    tokens = out.transpose(1, 2)[..., :channels]
    if q is not None:
        tokens = torch.addcmul(
            tokens, q, _on_grid(q.shape[1], q.dtype, q.device))
    return tokens.contiguous()


class _Unfold(Function):
    """:func:`_unfold` with a gradient; that of q is given to its grid."""

    @staticmethod
    def forward(ctx, out: Tensor, q: Optional[Tensor], channels: int,
                grid: Optional[Tensor]) -> Tensor:
        ctx.width = out.shape[-1]
        ctx.residual = q is not None
        return _unfold(out, q, channels)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        wide = F.pad(grad, (0, ctx.width - grad.shape[-1])).transpose(1, 2)
        return wide, None, None, grad[:, 1:] if ctx.residual else None


def fused_attention(q: Tensor, k: Tensor, v: Tensor,
                    tables: Sequence[Tensor], matrix: Optional[Tensor],
                    channels: Tensor, layout: Layout, scale: float,
                    residual: bool) -> Tensor:
    """Attend with one fused call for all queries.

    Args:
        q (Tensor): Queries, (B, 1 + T*H*W, heads, C).
        k (Tensor): Keys, (B, K, heads, C), in the order of the layout.
        v (Tensor): Values, like the keys.
        tables (Sequence[Tensor]): Of positions, (rows, C) each.
        matrix (Tensor, optional): Makes :func:`fold_tables` divided by
            ``scale`` of all their rows, ((T + H + W) * E, rows). None while
            compiling: then the first of the tables is that.
        channels (Tensor): :func:`key_channels` of the keys.
        layout (Layout): Which queries and keys there are.
        scale (float): Of q.k; the position terms are not scaled.
        residual (bool): Whether the grid's queries are added to the output.

    Returns:
        Tensor: Like the queries, contiguous.
    """
    size, own = layout.q_size, q if residual else None
    bias = query_bias(layout, channels.shape[-1], q.dtype, q.device)
    if matrix is None:  # it fuses by itself
        *wide, grid = fold_definition(q, k, v, tables[0].to(q.dtype), channels,
                                      bias, size)
    elif torch.is_grad_enabled():
        *wide, grid = _Fold.apply(channels, bias, size, matrix, q, k, v,
                                  *tables)
    else:
        with without_autocast():
            folded = make_folded(matrix, size, tables, q.dtype)
            wide = _fold(q, k, v, folded, channels, bias, size)[:3]
    out = F.scaled_dot_product_attention(
        *[x.transpose(1, 2) for x in wide], scale=scale)
    if matrix is None:
        return unfold_output_definition(out, grid if residual else None,
                                        q.shape[-1])
    if torch.is_grad_enabled():
        return _Unfold.apply(out, own, q.shape[-1], grid)
    return _unfold(out, own, q.shape[-1])
