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
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .attention_channels import Layout, Size, query_bias
from .constants import is_compiling


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
        # Attention's backward may give any layout.
        own = (grad[:, 1:, :, :c] + grad_grid).reshape(-1, w * n, c)
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
    bias = query_bias(layout, extra, q.dtype, q.device)
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
