# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Pooling of tokens: a depthwise convolution of their grid, then a norm."""
import math
from typing import List, NamedTuple, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .layer_norm import layer_norm_definition
from .library import below_autograd, register, register_gradient, use_triton
from .plain_pooling import backward as plain_backward
from .plain_pooling import forward as plain_forward
from .precision import activation_dtype, statistics_dtype

Size = Tuple[int, int, int]


class Pool(NamedTuple):
    """One pooling.

    Args:
        weight (Tensor): Kernel, (D, 1, kt, kh, kw), of odd sizes; D divides
            the channels C, and the C / D heads share it.
        gamma (Tensor): Of the LayerNorm over the D channels of a head, (D, ).
        beta (Tensor): (D, ).
        stride (tuple[int]): Of time, height and width.
    """
    weight: Tensor
    gamma: Tensor
    beta: Tensor
    stride: Size


def paddings(kernel: Sequence[int], causal: bool) -> Size:
    """Zeros in front of each axis; a causal kernel ends at its token."""
    t, h, w = (k // 2 for k in kernel)
    return kernel[0] - 1 if causal else t, h, w


def out_size(size: Sequence[int], kernel: Sequence[int],
             stride: Sequence[int], causal: bool = False) -> Size:
    """Grid (T', H', W') that a pooling makes of a grid (T, H, W)."""
    t, h, w = (
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(size, paddings(kernel, causal), kernel, stride))
    # Causal kernels are padded at both ends: what is after the last frame
    # is dropped.
    return min(t, size[0]) if causal else t, h, w


def pool_norm_definition(tokens: Tensor,
                         size: Sequence[int],
                         pool: Pool,
                         causal: bool = False,
                         eps: float = 1e-6) -> Tensor:
    """What :func:`pool_norm` computes, in plain PyTorch."""
    width, channels = pool.weight.shape[0], tokens.shape[-1]
    first = tokens.shape[1] - math.prod(size)
    x = tokens[:, first:].unflatten(1, size).permute(0, 4, 1, 2, 3)
    x = F.conv3d(
        x, pool.weight.to(x.dtype).repeat(channels // width, 1, 1, 1, 1),
        None, pool.stride, paddings(pool.weight.shape[2:], causal), 1,
        channels)
    x = (x[:, :, :size[0]] if causal else x).flatten(2).transpose(1, 2)
    x = torch.cat((tokens[:, :first], x), 1).unflatten(2, (-1, width))
    return layer_norm_definition(x, pool.gamma, pool.beta, eps).flatten(2)


def pool_norm(tokens: Tensor,
              size: Sequence[int],
              pools: Sequence[Pool],
              causal: bool = False,
              eps: float = 1e-6) -> List[Tensor]:
    """Strided pooling of tokens before their projection (MViT, eq. 1).

    For each of ``pools``, a depthwise convolution over the grid of tokens,
    shared by the heads and without bias, then LayerNorm over each head's
    channels on all tokens. Tokens before the grid (the class token) by-pass
    the convolution. Sums and statistics are float32 for lower dtypes.

    Args:
        tokens (Tensor): (B, P + T*H*W, C), P tokens that are no grid first.
            Under autocast it is cast to autocast's dtype.
        size (tuple[int]): Grid (T, H, W).
        pools (Sequence[Pool]): At most three, with kernels of one size: one
            call serves queries, keys and values.
        causal (bool): Whether a token sees itself and the past only.
            Defaults to False.
        eps (float): Of the norms. Defaults to 1e-6.

    Returns:
        list[Tensor]: (B, P + T'*H'*W', C) each, contiguous.
    """
    if len(pools) > 3:
        raise ValueError(f'{len(pools)} pools, but at most 3 go together: '
                         'call pool_norm once more for the others')
    tokens = tokens.to(activation_dtype(tokens))
    if torch.jit.is_tracing():
        return [
            pool_norm_definition(tokens, size, x, causal, eps) for x in pools
        ]
    weights, gammas, betas, strides = zip(*pools)
    keep = torch.is_grad_enabled() and any(
        x.requires_grad for x in (tokens, *weights, *gammas, *betas))
    outs = torch.ops.memvit.pool_norm(
        tokens, weights, gammas, betas, size,
        [s for stride in strides for s in stride], causal, eps, keep)
    return list(outs[0])


# ------------------------------------------------------------- the operator
Lists = List[Tensor]


def _forward(tokens: Tensor, weights: Lists, gammas: Lists, betas: Lists,
             size: List[int], strides: List[int], causal: bool, eps: float,
             keep: bool) -> Tuple[Lists, Lists, Lists, Lists]:
    """Results, pooled tokens before the norm, means, inverse deviations.

    The last three are what the backward pass needs; empty unless ``keep``.
    """
    form = plain_forward
    if use_triton(tokens):
        from .triton_pooling import forward as form
    return form(tokens, weights, gammas, betas, _geometries(
        size, weights, strides, causal), eps, keep)


class Geometry(NamedTuple):
    """Shapes of one pooling.

    Args:
        size (tuple[int]): Grid (T, H, W).
        out (tuple[int]): Grid (T', H', W').
        kernel (tuple[int]): (kt, kh, kw).
        stride (tuple[int]): Of time, height and width.
        padding (tuple[int]): Zeros in front of each axis.
    """
    size: Size
    out: Size
    kernel: Size
    stride: Size
    padding: Size


def _geometries(size: Sequence[int], weights: Lists, strides: Sequence[int],
                causal: bool) -> List[Geometry]:
    result = []
    for i, weight in enumerate(weights):
        kernel = tuple(weight.shape[2:])
        stride = tuple(strides[3 * i:3 * i + 3])
        result.append(
            Geometry(
                tuple(size), out_size(size, kernel, stride, causal), kernel,
                stride, paddings(kernel, causal)))
    return result


def _fake(tokens, weights, gammas, betas, size, strides, causal, eps, keep):
    first = tokens.shape[1] - math.prod(size)
    outs, convs, means, rstds = [], [], [], []
    for weight, geo in zip(weights, _geometries(size, weights, strides,
                                                causal)):
        shape = tokens.shape[0], first + math.prod(geo.out), tokens.shape[2]
        outs.append(tokens.new_empty(shape))
        if keep:
            convs.append(tokens.new_empty(shape))
            heads = tokens.shape[2] // weight.shape[0]
            for stats in (means, rstds):
                stats.append(
                    tokens.new_empty((*shape[:2], heads),
                                     dtype=statistics_dtype(tokens)))
    return outs, convs, means, rstds


def _backward(grads: Lists, tokens: Tensor, convs: Lists, means: Lists,
              rstds: Lists, weights: Lists, gammas: Lists, size: List[int],
              strides: List[int], causal: bool, need_tokens: bool,
              need_weights: bool) -> Tuple[Tensor, Lists, Lists, Lists]:
    """Gradients of the tokens and of all parameters.

    Empty, or none, where not needed.
    """
    form = plain_backward
    if use_triton(tokens):
        from .triton_pooling import backward as form
    return form(grads, tokens, convs, means, rstds, weights, gammas,
                _geometries(size, weights, strides, causal), need_tokens,
                need_weights)


def _backward_fake(grads, tokens, convs, means, rstds, weights, gammas, size,
                   strides, causal, need_tokens, need_weights):
    dtokens = tokens.new_empty(tokens.shape if need_tokens else 0)
    params = [[torch.empty_like(x) for x in group] if need_weights else []
              for group in (weights, gammas, gammas)]
    return dtokens, *params


class _PoolNorm(torch.autograd.Function):

    @staticmethod
    def forward(ctx, tokens, options, *params):
        num = len(params) // 3
        weights, gammas, betas = (
            list(params[i * num:i * num + num]) for i in range(3))
        outs, convs, means, rstds = below_autograd('pool_norm', tokens,
                                                   weights, gammas, betas,
                                                   *options)
        kept = (*convs, *means, *rstds)
        ctx.save_for_backward(tokens, *kept, *weights, *gammas)
        ctx.mark_non_differentiable(*kept)
        # Zeros for what is no result would be a kernel each.
        ctx.set_materialize_grads(False)
        ctx.options = options
        return (*outs, *kept)

    @staticmethod
    def backward(ctx, *grads):
        tokens, *saved = ctx.saved_tensors
        num = len(saved) // 5
        size, strides, causal = ctx.options[:3]
        grads = [
            torch.zeros_like(conv) if grad is None else grad
            for grad, conv in zip(grads, saved[:num])
        ]
        dtokens, *params = torch.ops.memvit.pool_norm_backward(
            grads, tokens,
            *[saved[i * num:i * num + num] for i in range(5)], size, strides,
            causal, ctx.needs_input_grad[0], any(ctx.needs_input_grad[2:]))
        params = [x for group in params for x in group] or [None] * 3 * num
        return (dtokens if ctx.needs_input_grad[0] else None, None, *params)


def _differentiable(tokens, weights, gammas, betas, size, strides, causal,
                    eps, keep):
    options = (size, strides, causal, eps, keep)
    if not keep:
        return below_autograd('pool_norm', tokens, weights, gammas, betas,
                              *options)
    num = len(weights)
    flat = _PoolNorm.apply(tokens, options, *weights, *gammas, *betas)
    return tuple(list(flat[i * num:i * num + num]) for i in range(4))


register(
    'pool_norm', '(Tensor tokens, Tensor[] weights, Tensor[] gammas, '
    'Tensor[] betas, SymInt[] size, int[] strides, bool causal, float eps, '
    'bool keep) -> (Tensor[], Tensor[], Tensor[], Tensor[])', _forward, _fake)
register(
    'pool_norm_backward', '(Tensor[] grads, Tensor tokens, Tensor[] convs, '
    'Tensor[] means, Tensor[] rstds, Tensor[] weights, Tensor[] gammas, '
    'SymInt[] size, int[] strides, bool causal, bool need_tokens, '
    'bool need_weights) -> (Tensor, Tensor[], Tensor[], Tensor[])', _backward,
    _backward_fake)
register_gradient('pool_norm', _differentiable)
