# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Launches the kernels of pooling."""
import math
from typing import List, Tuple

import torch
import triton
from torch import Tensor

from . import triton_layer_norm
from .triton_launch import launch, tile, wanted_programs
from .triton_pooling_kernels import (
    forward_kernel,
    sum_kernel,
    tokens_kernel,
    weight_kernel,
)

Lists = List[Tensor]


def _warps(width: int) -> int:
    """Warps of a program for rows of ``width`` channels.

    One as long as it holds a row: what all rows share (a tap, a parameter)
    then gets where it is needed without a barrier.
    """
    return min(max(triton.next_power_of_2(width) // 256, 1), 8)


def _taps_first(weights: List[Tensor]) -> Tensor:
    """Kernels (D, 1, kt, kh, kw), of one size, as (kernels, taps, D)."""
    return torch.stack([x.flatten(1).t() for x in weights])


def forward(tokens: Tensor, weights: List[Tensor], gammas: List[Tensor],
            betas: List[Tensor], geometries: list, eps: float,
            keep: bool) -> Tuple[Lists, Lists, Lists, Lists]:
    """See :func:`pooling._forward`."""
    batch, num, channels = tokens.shape
    width = weights[0].shape[0]
    heads = channels // width
    size = geometries[0].size
    first = num - math.prod(size)
    tokens = tokens.contiguous()
    results = [], [], [], []
    for weight, gamma, beta, geo in zip(
            _taps_first(weights), gammas, betas, geometries):
        num_out = first + math.prod(geo.out)
        out = tokens.new_empty(batch, num_out, channels)
        made = [out]
        if keep:
            made.append(torch.empty_like(out))
            made += [
                out.new_empty((batch, num_out, heads), dtype=torch.float32)
                for _ in range(2)
            ]
        warps = _warps(width)
        block_p, block_d = tile(batch * num_out, width, heads, tokens, warps)
        launch(
            forward_kernel, (triton.cdiv(batch * num_out, block_p), heads),
            tokens,
            tokens,
            weight,
            gamma,
            beta,
            *(made if keep else 4 * made),
            batch * num_out,
            first,
            *size,
            *geo.out,
            *geo.stride,
            *geo.padding,
            eps,
            C=channels,
            D=width,
            KT=geo.kernel[0],
            KH=geo.kernel[1],
            KW=geo.kernel[2],
            KEEP=keep,
            BLOCK_P=block_p,
            BLOCK_D=block_d,
            num_warps=warps)
        for group, value in zip(results, made):
            group.append(value)
    return results


def _token_gradient(tokens: Tensor, dys: List[Tensor], weights: List[Tensor],
                    geometries: list) -> Tensor:
    """Gradient of the tokens, from all poolings."""
    batch, num, channels = tokens.shape
    geo = geometries[0]
    width = weights[0].shape[0]
    dx = tokens.new_empty(tokens.shape)
    block_c = 128 if channels % 128 == 0 else min(
        triton.next_power_of_2(channels), 128)
    blocks = triton.cdiv(channels, block_c)
    block_p, block_c = tile(batch * num, block_c, blocks, tokens, 1)
    if tokens.dtype == torch.float32:  # registers would not do
        block_p = max(block_p // 2, 1)
    pick = [min(i, len(dys) - 1) for i in range(3)]
    taps = _taps_first(weights)
    jobs = [(dys[i], taps[i], *geometries[i].out) for i in pick]
    strides = {
        f'S{axis}{i}': geometries[job].stride['THW'.index(axis)]
        for i, job in enumerate(pick) for axis in 'THW'
    }
    unroll = {
        f'UNROLL{i}':
        geo.kernel[2] if max(geometries[job].stride) == 1 else 1
        for i, job in enumerate(pick)
    }
    launch(
        tokens_kernel, (triton.cdiv(batch * num, block_p), blocks),
        tokens,
        dx,
        batch * num,
        num - math.prod(geo.size),
        *geo.size,
        *geo.padding,
        *jobs[0],
        *jobs[1],
        *jobs[2],
        C=channels,
        D=width,
        KT=geo.kernel[0],
        KH=geo.kernel[1],
        KW=geo.kernel[2],
        NUM=len(dys),
        BLOCK_P=block_p,
        BLOCK_C=block_c,
        num_warps=1,
        **strides,
        **unroll)
    return dx


def _weight_gradient(tokens: Tensor, dy: Tensor, weight: Tensor,
                     geo) -> Tensor:
    """Gradient of one kernel, (D, 1, kt, kh, kw)."""
    batch, num, channels = tokens.shape
    taps, width = math.prod(geo.kernel), weight.shape[0]
    block_k = triton.next_power_of_2(taps)
    block_c = max(4096 // block_k, 16)
    block_c = min(block_c, max(triton.next_power_of_2(channels), 16))
    blocks = triton.cdiv(channels, block_c)
    lines = batch * geo.out[0] * geo.out[1]
    programs = min(lines, max(wanted_programs(tokens) // blocks, 1))
    part = tokens.new_empty((programs, taps, channels), dtype=torch.float32)
    kernel = dict(zip(('KT', 'KH', 'KW'), geo.kernel))
    launch(
        weight_kernel, (programs, blocks),
        tokens,
        tokens,
        dy,
        part,
        lines,
        num - math.prod(geo.size),
        *geo.size,
        *geo.out,
        *geo.stride,
        *geo.padding,
        C=channels,
        UNROLL=2,
        BLOCK_K=block_k,
        BLOCK_C=block_c,
        num_warps=4,
        **kernel)
    dweight = torch.empty_like(weight)
    launch(
        sum_kernel, (taps, triton.cdiv(width, 32)),
        tokens,
        part,
        dweight,
        programs * (channels // width),
        D=width,
        HEADS=channels // width,
        TAPS=taps,
        BLOCK_P=64,
        BLOCK_D=32,
        num_warps=4)
    return dweight


def backward(grads: List[Tensor], tokens: Tensor, convs: List[Tensor],
             means: List[Tensor], rstds: List[Tensor], weights: List[Tensor],
             gammas: List[Tensor], geometries: list, need_tokens: bool,
             need_weights: bool) -> Tuple[Tensor, Lists, Lists, Lists]:
    """See :func:`pooling._backward`."""
    tokens = tokens.contiguous()
    width = weights[0].shape[0]
    dys, params = [], ([], [], [])
    for grad, conv, mean, rstd, weight, gamma, geo in zip(
            grads, convs, means, rstds, weights, gammas, geometries):
        dy, dgamma, dbeta = triton_layer_norm.backward(
            grad.contiguous(), conv.unflatten(-1, (-1, width)), mean, rstd,
            gamma)
        dys.append(dy.flatten(-2))
        if need_weights:
            dweight = _weight_gradient(tokens, dys[-1], weight, geo)
            for group, value in zip(params, (dweight, dgamma, dbeta)):
                group.append(value)
    if not need_tokens:
        return tokens.new_empty(0), *params
    return _token_gradient(tokens, dys, weights, geometries), *params
