# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Launches the kernels of pooling."""
import functools
import math
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import torch
from torch import Tensor

from .triton_launch import blocks, launch, power_of_2, tile, wanted_programs
from .triton_pooling_kernels import (
    forward_kernel,
    norm_kernel,
    sum_kernel,
    tokens_kernel,
    weight_kernel,
)

Lists = List[Tensor]


@dataclass(eq=False)  # found again by what it is, not by what it holds
class _Plan:
    """How kernels are launched for some shapes; jobs are filled up to 3."""

    batch: int
    first: int
    channels: int
    width: int
    size: tuple
    shapes: tuple  # of results
    outs: tuple  # OT, OH, OW of each job
    places: tuple  # OT, OH, OW, ST, SH, SW of each job
    rows: tuple  # of each job, batch and class token included
    kernel: tuple
    strides: tuple
    causal: bool


@functools.lru_cache(4096)
def _plan(shape: tuple, width: int, geometries: tuple) -> _Plan:
    batch, num, channels = shape
    geo = geometries[0]
    first = num - math.prod(geo.size)
    filled = [geometries[min(i, len(geometries) - 1)] for i in range(3)]
    shapes = tuple((batch, first + math.prod(x.out), channels)
                   for x in geometries)
    return _Plan(batch, first, channels, width, geo.size, shapes,
                 tuple(n for x in filled for n in x.out),
                 tuple(n for x in filled for n in (*x.out, *x.stride)),
                 tuple(batch * num for _, num, _ in shapes), geo.kernel,
                 tuple(x.stride for x in filled),
                 geo.padding[0] != geo.kernel[0] // 2)


def _three(values: Sequence[Tensor]) -> Sequence[Tensor]:
    """Of three jobs, contiguous; where there are fewer, the last again."""
    values = [x.contiguous() for x in values]
    return values + values[-1:] * (3 - len(values))


@functools.lru_cache(4096)
def _forward_launch(plan: _Plan, device: torch.device) -> tuple:
    """Grid, rows, columns and warps."""
    heads = plan.channels // plan.width
    # A program's warp holds a row, as long as one can: what all rows share
    # (a tap, a parameter) then gets where it is needed without a barrier.
    warps = min(max(power_of_2(plan.width) // 256, 1), 8)
    block_p, block_d = tile(sum(plan.rows), plan.width, heads, device, warps)
    num = sum(blocks(rows, block_p) for rows in plan.rows)
    return (num, heads), block_p, block_d, warps


def _taps_first(weights: List[Tensor]) -> Tensor:
    """Kernels (D, 1, kt, kh, kw), of one size, as (kernels, taps, D)."""
    return torch.stack([x.flatten(1).t() for x in weights])


def forward(tokens: List[Tensor], weights: List[Tensor], gammas: List[Tensor],
            betas: List[Tensor], geometries: tuple, eps: float,
            keep: bool) -> Tuple[Lists, Tensor, Tensor]:
    """See :func:`pooling._forward`."""
    tokens = [x.contiguous() for x in tokens]
    like, jobs = tokens[0], len(weights)
    plan = _plan(like.shape, weights[0].shape[0], geometries)
    outs = [like.new_empty(shape) for shape in plan.shapes]
    total = sum(plan.rows) if keep else 0
    conv = like.new_empty((total, plan.channels))
    stats = like.new_empty((2, total, plan.channels // plan.width),
                           dtype=torch.float32)
    grid, block_p, block_d, warps = _forward_launch(plan, like.device)
    launch(forward_kernel, grid, like, *_three(tokens), _taps_first(weights),
           *_three(gammas), *_three(betas), *_three(outs),
           conv if keep else like, stats if keep else gammas[0], plan.batch,
           plan.first, *plan.size, *plan.places, plan.channels, eps, JOBS=jobs,
           D=plan.width, KT=plan.kernel[0], KH=plan.kernel[1],
           KW=plan.kernel[2], CAUSAL=plan.causal, KEEP=keep, BLOCK_P=block_p,
           BLOCK_D=block_d, num_warps=warps)
    return outs, conv, stats


@functools.lru_cache(4096)
def _tokens_launch(plan: _Plan, dtype: torch.dtype,
                   device: torch.device) -> tuple:
    """Grid, rows, columns, and each job's strides and unrolling."""
    channels = plan.channels
    block_c = 128 if channels % 128 == 0 else min(power_of_2(channels), 128)
    columns = blocks(channels, block_c)
    rows = plan.batch * (plan.first + math.prod(plan.size))
    block_p, block_c = tile(rows, block_c, columns, device, 1)
    if dtype == torch.float32:  # registers would not do
        block_p = max(block_p // 2, 1)
    steps = {}
    for i, stride in enumerate(plan.strides):
        steps.update(zip((f'ST{i}', f'SH{i}', f'SW{i}'), stride))
        steps[f'UNROLL{i}'] = plan.kernel[2] if max(stride) == 1 else 1
    return (blocks(rows, block_p), columns), block_p, block_c, steps


def _token_gradient(like: Tensor, dy: Tensor, weights: List[Tensor],
                    plan: _Plan) -> Tensor:
    """Gradient of tokens that all poolings share."""
    dx = like.new_empty(like.shape)
    grid, block_p, block_c, steps = _tokens_launch(plan, like.dtype,
                                                   like.device)
    launch(tokens_kernel, grid, like, dx, dy, _taps_first(weights), plan.batch,
           plan.first, *plan.size, *plan.outs, plan.channels,
           JOBS=len(weights), D=plan.width, KT=plan.kernel[0],
           KH=plan.kernel[1], KW=plan.kernel[2], CAUSAL=plan.causal, **steps,
           BLOCK_P=block_p, BLOCK_C=block_c, num_warps=1)
    return dx


@functools.lru_cache(4096)
def _weight_launch(plan: _Plan, jobs: int, device: torch.device) -> tuple:
    """Grid, taps and columns of a tile."""
    block_k = power_of_2(math.prod(plan.kernel))
    block_c = max(4096 // block_k, 16)
    block_c = min(block_c, max(power_of_2(plan.channels), 16))
    columns = blocks(plan.channels, block_c)
    lines = max(plan.batch * plan.outs[3 * i] * plan.outs[3 * i + 1]
                for i in range(jobs))
    programs = min(lines, max(wanted_programs(device) // columns, 1))
    return (programs, columns, jobs), block_k, block_c


def _weight_sums(tokens: List[Tensor], dy: Tensor, plan: _Plan,
                 jobs: int) -> Tensor:
    """Sums for the kernels' gradient: (jobs, programs, taps, C)."""
    grid, block_k, block_c = _weight_launch(plan, jobs, dy.device)
    part = dy.new_empty((jobs, grid[0], math.prod(plan.kernel), plan.channels),
                        dtype=torch.float32)
    launch(weight_kernel, grid, dy, *_three(tokens), dy, part, plan.batch,
           plan.first, *plan.size, *plan.places, grid[0], plan.channels,
           JOBS=jobs, KT=plan.kernel[0], KH=plan.kernel[1], KW=plan.kernel[2],
           CAUSAL=plan.causal, UNROLL=2, BLOCK_K=block_k, BLOCK_C=block_c,
           num_warps=4)
    return part


@functools.lru_cache(4096)
def _norm_launch(plan: _Plan, jobs: int, device: torch.device) -> tuple:
    """Grid, rows and columns."""
    heads = plan.channels // plan.width
    rows = sum(plan.rows) * heads
    block_p, block_d = tile(rows, plan.width, 1, device, 4)
    # Two sums and two tiles are held in registers: half the rows.
    block_p = max(block_p // 2, 1)
    num = min(blocks(max(plan.rows, default=0) * heads, block_p),
              wanted_programs(device))
    return (num, jobs), block_p, block_d


def _norm_gradient(grads: List[Tensor], conv: Tensor, stats: Tensor,
                   gammas: List[Tensor], plan: _Plan) -> Tuple[Tensor, Tensor]:
    """Through the norms: dy, and sums (jobs, programs, 2, D)."""
    jobs = len(grads)
    grid, block_p, block_d = _norm_launch(plan, jobs, conv.device)
    dy = torch.empty_like(conv)
    part = conv.new_empty((jobs, grid[0], 2, plan.width), dtype=torch.float32)
    launch(norm_kernel, grid, conv, *_three(grads), conv, stats,
           *_three(gammas), dy, part, plan.batch, plan.first, *plan.outs,
           grid[0], plan.channels, JOBS=jobs, D=plan.width, BLOCK_P=block_p,
           BLOCK_D=block_d, num_warps=4)
    return dy, part


def backward(grads: List[Tensor], tokens: List[Tensor], conv: Tensor,
             stats: Tensor, weights: List[Tensor], gammas: List[Tensor],
             geometries: tuple, need_tokens: bool,
             need_weights: bool) -> Tuple[Lists, Tensor, Tensor, Tensor]:
    """See :func:`pooling._backward`."""
    tokens = [x.contiguous() for x in tokens]
    weight, jobs = weights[0], len(weights)
    plan = _plan(tokens[0].shape, weight.shape[0], geometries)
    dy, norm_part = _norm_gradient(grads, conv, stats, gammas, plan)
    shape = (jobs, ) if need_weights else (0, )
    dweight = weight.new_empty(shape + weight.shape)
    dgamma, dbeta = (
        weight.new_empty(shape + gammas[0].shape) for _ in range(2))
    if need_weights:
        part = _weight_sums(tokens, dy, plan, jobs)
        taps = part.shape[2]
        launch(sum_kernel, (taps + 2, blocks(plan.width, 32), jobs), dy, part,
               norm_part, dweight, dgamma, dbeta, part.shape[1],
               norm_part.shape[1], plan.channels // plan.width, D=plan.width,
               TAPS=taps, BLOCK_P=64, BLOCK_D=32, num_warps=4)
    dtokens = []
    if need_tokens and len(tokens) == 1:
        dtokens = [_token_gradient(tokens[0], dy, weights, plan)]
    elif need_tokens:
        dtokens = [
            _token_gradient(x, part, [weight],
                            _plan(x.shape, weight.shape[0], (geo, )))
            for x, part, weight, geo in zip(tokens, dy.split(plan.rows),
                                            weights, geometries)]
    dtype = gammas[0].dtype
    return dtokens, dweight, dgamma.to(dtype), dbeta.to(dtype)
