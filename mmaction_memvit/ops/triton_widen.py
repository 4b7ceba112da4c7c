# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Moves queries, keys and values in and out of wider heads, in Triton.

One launch does all three, the jobs; a program takes some heads of tokens.
"""
import functools
from typing import Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .triton_launch import blocks, launch, pick, pick_pointer, tile

_SIZES = ['batch', 'queries', 'keys', 'heads', 'H', 'W', 'bias_rows',
          'channel_step']


@triton.jit
def _place(block, batch, queries, keys, heads, W, BLOCK_P: tl.constexpr):
    """Job (as a number and by row) and rows; where extra channels lie.

    Queries but the class token have theirs in the order (T*H, B, heads, W).
    """
    rows_q, rows_k = batch * queries * heads, batch * keys * heads
    blocks_q, blocks_k = tl.cdiv(rows_q, BLOCK_P), tl.cdiv(rows_k, BLOCK_P)
    job = (block >= blocks_q).to(tl.int32) + (block >= blocks_q + blocks_k)
    block -= pick(job, 0, blocks_q, blocks_q + blocks_k)
    row = block * BLOCK_P + tl.arange(0, BLOCK_P)
    live = row < tl.where(job == 0, rows_q, rows_k)
    tokens = tl.where(job == 0, queries, keys)
    head, token = row % heads, row // heads % tokens
    sample = row // (heads * tokens)
    place = token - 1
    by_line = (place // W * batch + sample) * heads + head
    kind = tl.zeros_like(row) + job
    return job, kind, row, live, sample, token, by_line * W + place % W


@functools.partial(triton.jit, do_not_specialize=_SIZES)
def _widen_kernel(q_ptr, k_ptr, v_ptr, extra_ptr, channel_ptr, bias_ptr,
                  q_out, k_out, v_out, batch, queries, keys, heads, H, W,
                  bias_rows, channel_step, C: tl.constexpr, E: tl.constexpr,
                  BLOCK_P: tl.constexpr, BLOCK_D: tl.constexpr):
    job, kind, row, live, sample, token, by_line = _place(
        tl.program_id(0), batch, queries, keys, heads, W, BLOCK_P)
    col = tl.arange(0, BLOCK_D)
    x_ptr = pick_pointer(job, q_ptr, k_ptr, v_ptr)
    out_ptr = pick_pointer(job, q_out, k_out, v_out)
    more_ptr = pick_pointer(job, extra_ptr, channel_ptr, channel_ptr)
    row = row.to(tl.int64)
    x = tl.load(x_ptr + (row * C)[:, None] + col[None, :],
                mask=live[:, None] & (col < C)[None, :],
                other=0.).to(tl.float32)
    own = (col >= C) & (col < C + E)
    at = tl.where(job == 0, by_line, sample * channel_step + token)
    # The class query has none of its own, values nothing at all.
    has = live & (kind < 2) & (kind + token > 0)
    x += tl.load(
        more_ptr + (at.to(tl.int64) * E)[:, None] + (col - C)[None, :],
        mask=has[:, None] & own[None, :], other=0.).to(tl.float32)
    # The class query has no position; it hides what the last frame hides.
    frame = tl.where(token == 0, bias_rows - 1, (token - 1) // (H * W))
    frame = tl.minimum(frame, bias_rows - 1)
    x += tl.load(bias_ptr + (frame * E)[:, None] + (col - C)[None, :],
                 mask=(live & (kind == 0))[:, None] & own[None, :],
                 other=0.).to(tl.float32)
    tl.store(out_ptr + (row * (C + E))[:, None] + col[None, :],
             x.to(out_ptr.dtype.element_ty),
             mask=live[:, None] & (col < C + E)[None, :])


@functools.partial(triton.jit, do_not_specialize=_SIZES)
def _narrow_kernel(q_ptr, k_ptr, v_ptr, grid_ptr, q_out, k_out, v_out,
                   extra_out, batch, queries, keys, heads, W, grid_step,
                   C: tl.constexpr, E: tl.constexpr, BLOCK_P: tl.constexpr,
                   BLOCK_D: tl.constexpr):
    job, kind, row, live, sample, token, by_line = _place(
        tl.program_id(0), batch, queries, keys, heads, W, BLOCK_P)
    col = tl.arange(0, BLOCK_D)
    x_ptr = pick_pointer(job, q_ptr, k_ptr, v_ptr)
    out_ptr = pick_pointer(job, q_out, k_out, v_out)
    row = row.to(tl.int64)
    live = live & (kind + token > 0)
    on_grid = live & (kind == 0)
    own = col < C
    x = tl.load(x_ptr + (row * (C + E))[:, None] + col[None, :],
                mask=live[:, None] & (col < C + E)[None, :], other=0.)
    at = sample.to(tl.int64) * grid_step + (
        (token - 1) * heads + row % heads) * C
    grid = tl.load(grid_ptr + at[:, None] + col[None, :],
                   mask=on_grid[:, None] & own[None, :], other=0.)
    total = x.to(tl.float32) + grid.to(tl.float32)
    at = tl.where(job == 0, by_line.to(tl.int64), row)
    tl.store(out_ptr + (at * C)[:, None] + col[None, :],
             total.to(out_ptr.dtype.element_ty),
             mask=live[:, None] & own[None, :])
    tl.store(extra_out + (at * E)[:, None] + (col - C)[None, :], x,
             mask=on_grid[:, None] & ((col >= C) & (col < C + E))[None, :])


@functools.lru_cache(4096)
def _launch(q_shape: tuple, keys: int, width: int,
            device: torch.device) -> tuple:
    """Grid, rows and columns; ``width`` with the extra channels."""
    batch, queries, heads, _ = q_shape
    rows_q, rows_k = batch * queries * heads, batch * keys * heads
    block_p, block_d = tile(rows_q + 2 * rows_k, width, 1, device, 4)
    num = blocks(rows_q, block_p) + 2 * blocks(rows_k, block_p)
    return (num, ), block_p, block_d


def widen(q: Tensor, extra: Tensor, bias: Tensor, k: Tensor, channels: Tensor,
          v: Tensor, size: Tuple[int, int, int]) -> Tuple[Tensor, ...]:
    """See :func:`widen.widen_definition`."""
    c, e, keys = q.shape[-1], extra.shape[-1], k.shape[1]
    outs = [x.new_empty(*x.shape[:3], c + e) for x in (q, k, v)]
    grid, block_p, block_d = _launch(q.shape, keys, c + e, q.device)
    launch(_widen_kernel, grid, q, q.contiguous(), k.contiguous(),
           v.contiguous(), extra.contiguous(), channels.contiguous(), bias,
           *outs, q.shape[0], q.shape[1], keys, q.shape[2], *size[1:],
           bias.shape[0], keys if channels.shape[0] > 1 else 0, C=c, E=e,
           BLOCK_P=block_p, BLOCK_D=block_d, num_warps=4)
    return tuple(outs)


def narrow(q: Tensor, k: Tensor, v: Tensor, grid: Tensor,
           size: Tuple[int, int, int]) -> Tuple[Tensor, ...]:
    """See :func:`widen.narrow_definition`."""
    c, (b, _, n, wide) = grid.shape[-1], q.shape
    (t, h, w), e = size, wide - c
    own = q.new_empty(t * h, b * w * n, c)
    extra = q.new_empty(t * h, b * w * n, e)
    outs = [x.new_empty(*x.shape[:3], c) for x in (k, v)]
    if grid.stride()[1:] != (n * c, c, 1):
        grid = grid.contiguous()
    blocks_, block_p, block_d = _launch(q.shape, k.shape[1], wide, q.device)
    launch(_narrow_kernel, blocks_, q, q.contiguous(), k.contiguous(),
           v.contiguous(), grid, own, *outs, extra, b, q.shape[1], k.shape[1],
           n, w, grid.stride(0), C=c, E=e, BLOCK_P=block_p, BLOCK_D=block_d,
           num_warps=4)
    return (own, extra, *outs)
