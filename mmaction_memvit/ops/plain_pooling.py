# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The plain forms of pooling, each the fastest of its device."""
import math
from typing import List, Tuple

import torch
from torch import Tensor

from .layer_norm import norm_rows, norm_rows_backward
from .precision import statistics_dtype

Lists = List[Tensor]


def _channels_last(x: Tensor) -> bool:
    """Whether convolutions take the layout of the tokens.

    On a CPU that needs no copy and is 4 to 20 times as fast as heads folded
    into the batch; cuDNN runs it as one kernel a channel.
    """
    return x.device.type == 'cpu'


def _for_conv(grid: Tensor, width: int) -> Tensor:
    """(B, T, H, W, C) as convolutions like it.

    On a CPU, the gradient of a kernel in bfloat16 reads memory nobody has
    written where frames are fewer than the kernel is long (torch 2.13): NaN,
    now and then. So lower dtypes are convolved in float32 there.
    """
    if _channels_last(grid):
        return grid.to(statistics_dtype(grid)).permute(0, 4, 1, 2, 3)
    return grid.unflatten(-1, (-1, width)).permute(
        0, 4, 5, 1, 2, 3).flatten(0, 1).contiguous()


def _from_conv(x: Tensor, batch: int) -> Tensor:
    """Undo :func:`_for_conv`, but for the dtype."""
    if _channels_last(x):
        return x.permute(0, 2, 3, 4, 1)
    return x.unflatten(0, (batch, -1)).permute(0, 3, 4, 5, 1, 2).flatten(-2)


def _kernel(weight: Tensor, x: Tensor) -> Tensor:
    """The kernel for the channels of x, as :func:`_for_conv` gave it."""
    weight = weight.to(x.dtype)
    return weight.repeat(x.shape[1] // weight.shape[0], 1, 1, 1, 1)


def forward(tokens: Tensor, weights: List[Tensor], gammas: List[Tensor],
            betas: List[Tensor], geometries: list, eps: float,
            keep: bool) -> Tuple[Lists, Lists, Lists, Lists]:
    """See :func:`pooling._forward`."""
    batch, num, channels = tokens.shape
    size, width = geometries[0].size, weights[0].shape[0]
    first = num - math.prod(size)
    x = _for_conv(
        tokens[:, first:].unflatten(1, size).contiguous(), width)
    results = [], [], [], []
    for weight, gamma, beta, geo in zip(weights, gammas, betas, geometries):
        y = torch.ops.aten.convolution(x, _kernel(weight, x), None, geo.stride,
                                       geo.padding, (1, 1, 1), False,
                                       (0, 0, 0), x.shape[1])
        y = _from_conv(y, batch)[:, :geo.out[0]].flatten(1, 3).to(tokens.dtype)
        y = torch.cat((tokens[:, :first], y), 1) if first else y.contiguous()
        out, mean, rstd = norm_rows(
            y.unflatten(-1, (-1, width)), gamma, beta, eps)
        results[0].append(out.flatten(-2))
        if keep:
            for kept, value in zip(results[1:], (y, mean, rstd)):
                kept.append(value)
    return results


def backward(grads: List[Tensor], tokens: Tensor, convs: List[Tensor],
             means: List[Tensor], rstds: List[Tensor], weights: List[Tensor],
             gammas: List[Tensor], geometries: list, need_tokens: bool,
             need_weights: bool) -> Tuple[Tensor, Lists, Lists, Lists]:
    """See :func:`pooling._backward`."""
    batch, num, channels = tokens.shape
    size, width = geometries[0].size, weights[0].shape[0]
    first = num - math.prod(size)
    x = _for_conv(
        tokens[:, first:].unflatten(1, size).contiguous(), width)
    dx, dcls, params = None, 0, ([], [], [])
    for grad, y, mean, rstd, weight, gamma, geo in zip(
            grads, convs, means, rstds, weights, gammas, geometries):
        dy, dgamma, dbeta = norm_rows_backward(
            grad.unflatten(-1, (-1, width)), y.unflatten(-1, (-1, width)),
            mean, rstd, gamma)
        dy = dy.flatten(-2)
        dcls = dcls + dy[:, :first]
        dy = dy[:, first:].unflatten(1, geo.out)
        # As long as the convolution's result was before frames were dropped.
        length = (size[0] + 2 * geo.padding[0] -
                  geo.kernel[0]) // geo.stride[0] + 1
        if length > geo.out[0]:
            dy = torch.cat(
                (dy, dy.new_zeros(batch, length - geo.out[0], *dy.shape[2:])),
                1)
        part, dweight, _ = torch.ops.aten.convolution_backward(
            _for_conv(dy.contiguous(), width), x, _kernel(weight, x), None,
            geo.stride, geo.padding, (1, 1, 1), False, (0, 0, 0), x.shape[1],
            [need_tokens, need_weights, False])
        if need_tokens:
            dx = part if dx is None else dx.add_(part)
        if need_weights:
            dweight = dweight.unflatten(0, (-1, width)).sum(0)
            for group, value in zip(
                    params, (dweight.to(weight.dtype), dgamma, dbeta)):
                group.append(value)
    if not need_tokens:
        return tokens.new_empty(0), *params
    dx = _from_conv(dx, batch).flatten(1, 3).to(tokens.dtype)
    dx = torch.cat((dcls, dx), 1) if first else dx.contiguous()
    return dx, *params
