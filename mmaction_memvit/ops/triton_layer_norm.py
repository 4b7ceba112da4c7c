# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LayerNorm in Triton: one pass over the rows either way.

Gradients of the parameters are summed in registers over all rows of a
program, and over programs by a second kernel: no atomics, so the same sums
in every run.
"""
from typing import Optional, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .triton_launch import blocks, launch, tile, wanted_programs


@triton.jit
def normalize(x, gamma, beta, inside, eps, D: tl.constexpr):
    """LayerNorm of the rows of a float32 tile whose outside is 0."""
    mean = tl.sum(x, axis=1) / D
    x = tl.where(inside, x - mean[:, None], 0.)
    rstd = 1. / tl.sqrt(tl.sum(x * x, axis=1) / D + eps)
    return x * rstd[:, None] * gamma[None, :] + beta[None, :], mean, rstd


@triton.jit
def normalize_backward(grad, x, mean, rstd, gamma, inside, D: tl.constexpr):
    """Gradient of the rows of a tile, and the normalised rows."""
    x = tl.where(inside, (x - mean[:, None]) * rstd[:, None], 0.)
    grad *= gamma[None, :]
    a = tl.sum(grad, axis=1) / D
    b = tl.sum(grad * x, axis=1) / D
    return (grad - a[:, None] - x * b[:, None]) * rstd[:, None], x


@triton.jit
def _forward_kernel(x_ptr, branch_ptr, scale_ptr, gamma_ptr, beta_ptr,
                    total_ptr, out_ptr, mean_ptr, rstd_ptr, rows, rows_each,
                    eps, D: tl.constexpr, ADD: tl.constexpr,
                    SCALE: tl.constexpr, BLOCK_P: tl.constexpr,
                    BLOCK_D: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    col = tl.arange(0, BLOCK_D)
    inside = (row < rows)[:, None] & (col < D)[None, :]
    at = row[:, None] * D + col[None, :]
    x = tl.load(x_ptr + at, mask=inside, other=0.).to(tl.float32)
    if ADD:
        branch = tl.load(branch_ptr + at, mask=inside, other=0.).to(tl.float32)
        if SCALE:
            scale = tl.load(
                scale_ptr + row // rows_each, mask=row < rows, other=0.)
            branch *= scale.to(tl.float32)[:, None]
        # The norm is of the sum as the backward pass will know it.
        total = (x + branch).to(total_ptr.dtype.element_ty)
        tl.store(total_ptr + at, total, mask=inside)
        x = total.to(tl.float32)
    gamma = tl.load(gamma_ptr + col, mask=col < D, other=0.).to(tl.float32)
    beta = tl.load(beta_ptr + col, mask=col < D, other=0.).to(tl.float32)
    out, mean, rstd = normalize(x, gamma, beta, inside, eps, D)
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=inside)
    tl.store(mean_ptr + row, mean, mask=row < rows)
    tl.store(rstd_ptr + row, rstd, mask=row < rows)


@triton.jit
def _backward_kernel(grad_ptr, grad_total_ptr, x_ptr, scale_ptr, mean_ptr,
                     rstd_ptr, gamma_ptr, dx_ptr, dbranch_ptr, part_ptr, rows,
                     rows_each, D: tl.constexpr, ADD: tl.constexpr,
                     SCALE: tl.constexpr, BLOCK_P: tl.constexpr,
                     BLOCK_D: tl.constexpr):
    col = tl.arange(0, BLOCK_D)
    gamma = tl.load(gamma_ptr + col, mask=col < D, other=0.).to(tl.float32)
    dgamma = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    dbeta = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    step = tl.num_programs(0) * BLOCK_P
    for start in range(tl.program_id(0) * BLOCK_P, rows, step):
        row = start + tl.arange(0, BLOCK_P).to(tl.int64)
        live = row < rows
        inside = live[:, None] & (col < D)[None, :]
        at = row[:, None] * D + col[None, :]
        grad = tl.load(grad_ptr + at, mask=inside, other=0.).to(tl.float32)
        x = tl.load(x_ptr + at, mask=inside, other=0.).to(tl.float32)
        mean = tl.load(mean_ptr + row, mask=live, other=0.)
        rstd = tl.load(rstd_ptr + row, mask=live, other=0.)
        dx, x = normalize_backward(grad, x, mean, rstd, gamma, inside, D)
        dgamma += grad * x
        dbeta += grad
        if ADD:
            dx += tl.load(
                grad_total_ptr + at, mask=inside, other=0.).to(tl.float32)
        tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=inside)
        if SCALE:
            scale = tl.load(scale_ptr + row // rows_each, mask=live, other=0.)
            dx *= scale.to(tl.float32)[:, None]
            tl.store(dbranch_ptr + at, dx.to(dbranch_ptr.dtype.element_ty),
                     mask=inside)
    at = part_ptr + tl.program_id(0) * 2 * D + col
    tl.store(at, tl.sum(dgamma, axis=0), mask=col < D)
    tl.store(at + D, tl.sum(dbeta, axis=0), mask=col < D)


@triton.jit
def _sum_kernel(part_ptr, dgamma_ptr, dbeta_ptr, num, D: tl.constexpr,
                BLOCK_P: tl.constexpr, BLOCK_D: tl.constexpr):
    which = tl.program_id(1)
    col = tl.program_id(0) * BLOCK_D + tl.arange(0, BLOCK_D)
    acc = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    for start in range(0, num, BLOCK_P):
        row = start + tl.arange(0, BLOCK_P)
        acc += tl.load(
            part_ptr + (row[:, None] * 2 + which) * D + col[None, :],
            mask=(row < num)[:, None] & (col < D)[None, :], other=0.)
    total = tl.sum(acc, axis=0)
    if which == 0:
        tl.store(dgamma_ptr + col, total.to(dgamma_ptr.dtype.element_ty),
                 mask=col < D)
    else:
        tl.store(dbeta_ptr + col, total.to(dbeta_ptr.dtype.element_ty),
                 mask=col < D)


def _rows_each(x: Tensor, rows: int) -> int:
    return max(rows // max(x.shape[0], 1), 1)


def forward(x: Tensor, branch: Optional[Tensor], scale: Optional[Tensor],
            gamma: Tensor, beta: Tensor,
            eps: float) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum (empty without a branch), result, means, inverse deviations."""
    width = x.shape[-1]
    mean = x.new_empty(x.shape[:-1], dtype=torch.float32)
    rstd, out = torch.empty_like(mean), torch.empty_like(x)
    add, scaled = branch is not None, scale is not None
    branch, scale, gamma, beta = [
        x if y is None else y.contiguous()
        for y in (branch, scale, gamma, beta)]
    total = torch.empty_like(x) if add else x.new_empty(0)
    rows = mean.numel()
    block_p, block_d = tile(rows, width, 1, x.device, 4)
    launch(_forward_kernel, (blocks(rows, block_p), ), x, x, branch, scale,
           gamma, beta, total if add else x, out, mean, rstd, rows,
           _rows_each(x, rows), eps, D=width, ADD=add, SCALE=scaled,
           BLOCK_P=block_p, BLOCK_D=block_d, num_warps=4)
    return total, out, mean, rstd


def backward(grad: Tensor, grad_total: Optional[Tensor], x: Tensor,
             scale: Optional[Tensor], mean: Tensor, rstd: Tensor,
             gamma: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the sum, of the scaled branch, of gamma and beta."""
    width, rows = x.shape[-1], mean.numel()
    dx, scaled = torch.empty_like(x), scale is not None
    dbranch = x.new_empty(x.shape if scaled else 0)
    scale, gamma = scale.contiguous() if scaled else x, gamma.contiguous()
    dgamma, dbeta = torch.empty_like(gamma), torch.empty_like(gamma)
    # Two sums and two tiles are held in registers: half the rows.
    block_p, block_d = tile(rows, width, 1, x.device, 4)
    block_p = max(block_p // 2, 1)
    num = min(blocks(rows, block_p), wanted_programs(x.device))
    part = x.new_empty((num, 2, width), dtype=torch.float32)
    launch(_backward_kernel, (num, ), x, grad,
           grad if grad_total is None else grad_total, x, scale, mean, rstd,
           gamma, dx, dbranch, part, rows, _rows_each(x, rows), D=width,
           ADD=grad_total is not None, SCALE=scaled, BLOCK_P=block_p,
           BLOCK_D=block_d, num_warps=4)
    launch(_sum_kernel, (blocks(width, 32), 2), x, part, dgamma, dbeta, num,
           D=width, BLOCK_P=64, BLOCK_D=32, num_warps=4)
    return dx, dbranch, dgamma, dbeta
