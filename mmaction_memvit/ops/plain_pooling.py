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


def _from_conv(x: Tensor, batch: int, heads: int) -> Tensor:
    """Undo :func:`_for_conv`, but for the dtype."""
    if _channels_last(x):
        return x.permute(0, 2, 3, 4, 1)
    return x.unflatten(0, (batch, heads)).permute(0, 3, 4, 5, 1, 2).flatten(-2)


def _kernel(weight: Tensor, x: Tensor) -> Tensor:
    """The kernel for the channels of x, as :func:`_for_conv` gave it."""
    weight = weight.to(x.dtype)
    return weight.repeat(x.shape[1] // weight.shape[0], 1, 1, 1, 1)


def _grids(tokens: List[Tensor], size: tuple, width: int) -> List[Tensor]:
    """The grids of all tokens, for convolutions."""
    first = tokens[0].shape[1] - math.prod(size)
    return [_for_conv(x[:, first:].unflatten(1, size).contiguous(), width)
            for x in tokens]


def forward(tokens: List[Tensor], weights: List[Tensor], gammas: List[Tensor],
            betas: List[Tensor], geometries: tuple, eps: float,
            keep: bool) -> Tuple[Lists, Tensor, Tensor]:
    """See :func:`pooling._forward`."""
    batch, num, channels = tokens[0].shape
    size, width = geometries[0].size, weights[0].shape[0]
    heads = channels // width
    first = num - math.prod(size)
    shapes = [(batch, first + math.prod(geo.out)) for geo in geometries]
    rows = [math.prod(x) for x in shapes]
    total = sum(rows) if keep else 0
    conv = tokens[0].new_empty(total, channels)
    stats = conv.new_empty((2, total, heads), dtype=statistics_dtype(conv))
    kept = zip(conv.split(rows), stats.split(rows, 1)) if keep else [
        (None, None)] * len(rows)
    grids = _grids(tokens, size, width)
    outs = []
    for i, (weight, gamma, beta, geo, shape, (own, own_stats)) in enumerate(
            zip(weights, gammas, betas, geometries, shapes, kept)):
        x, cls = (y[i % len(y)] for y in (grids, tokens))
        y = torch.ops.aten.convolution(x, _kernel(weight, x), None, geo.stride,
                                       geo.padding, (1, 1, 1), False,
                                       (0, 0, 0), x.shape[1])
        y = _from_conv(y, batch, heads)[:, :geo.out[0]].flatten(1, 3)
        y = torch.cat((cls[:, :first], y.to(cls.dtype)), 1,
                      out=own.view(*shape, channels) if keep else None)
        out, mean, rstd = norm_rows(
            y.unflatten(-1, (-1, width)), gamma, beta, eps)
        outs.append(out.flatten(-2))
        if keep:
            own_stats[0].copy_(mean.flatten(0, 1))
            own_stats[1].copy_(rstd.flatten(0, 1))
    return outs, conv, stats


def backward(grads: List[Tensor], tokens: List[Tensor], conv: Tensor,
             stats: Tensor, weights: List[Tensor], gammas: List[Tensor],
             geometries: tuple, need_tokens: bool,
             need_weights: bool) -> Tuple[Lists, Tensor, Tensor, Tensor]:
    """See :func:`pooling._backward`."""
    batch, num, channels = tokens[0].shape
    size, width = geometries[0].size, weights[0].shape[0]
    heads = channels // width
    first = num - math.prod(size)
    rows = [x.shape[0] * x.shape[1] for x in grads]
    grids = _grids(tokens, size, width)
    dgrids: list = [None] * len(tokens)
    dfirst: list = [0] * len(tokens)
    params = [], [], []
    for i, (grad, y, own, weight, gamma, geo) in enumerate(
            zip(grads, conv.split(rows), stats.split(rows, 1), weights, gammas,
                geometries)):
        at = i % len(tokens)
        dy, dgamma, dbeta = norm_rows_backward(
            grad.unflatten(-1, (-1, width)),
            y.view(*grad.shape[:2], heads, width),
            *own.view(2, *grad.shape[:2], heads), gamma)
        dy = dy.flatten(-2)
        dfirst[at] = dfirst[at] + dy[:, :first]
        dy = dy[:, first:].unflatten(1, geo.out)
        # As long as the convolution's result was before frames were dropped.
        length = (size[0] + 2 * geo.padding[0] -
                  geo.kernel[0]) // geo.stride[0] + 1
        if length > geo.out[0]:
            dy = torch.cat(
                (dy, dy.new_zeros(batch, length - geo.out[0], *dy.shape[2:])),
                1)
        x = grids[at]
        part, dweight, _ = torch.ops.aten.convolution_backward(
            _for_conv(dy.contiguous(), width), x, _kernel(weight, x), None,
            geo.stride, geo.padding, (1, 1, 1), False, (0, 0, 0), x.shape[1],
            [need_tokens, need_weights, False])
        if need_tokens:
            dgrids[at] = (
                part if dgrids[at] is None else dgrids[at].add_(part))
        if need_weights:
            dweight = dweight.unflatten(0, (-1, width)).sum(0)
            for group, value in zip(
                    params, (dweight.to(weight.dtype), dgamma, dbeta)):
                group.append(value)
    params = [
        torch.stack(group) if group else like.new_empty(0, *like.shape)
        for group, like in zip(params, (weights[0], gammas[0], gammas[0]))]
    if not need_tokens:
        return [], *params
    dgrids = [_from_conv(dx, batch, heads).flatten(1, 3) for dx in dgrids]
    dtokens = [torch.cat((cls.to(x.dtype), dx.to(x.dtype)), 1)
               for cls, dx, x in zip(dfirst, dgrids, tokens)]
    return dtokens, *params
