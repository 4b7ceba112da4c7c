# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Pooling of tokens: a depthwise convolution of their grid, then a norm."""
import functools
import math
from typing import List, NamedTuple, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import plain_pooling
from .constants import is_exporting
from .layer_norm import layer_norm_definition
from .library import below_autograd, call, register, triton_form
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


def pool_norm_definition(tokens: Tensor, size: Sequence[int], pool: Pool,
                         causal: bool = False, eps: float = 1e-6) -> Tensor:
    """What :func:`pool_norm` computes, in plain PyTorch."""
    width, channels = pool.weight.shape[0], tokens.shape[-1]
    first = tokens.shape[1] - math.prod(size)
    x = tokens[:, first:].unflatten(1, size).permute(0, 4, 1, 2, 3)
    x = F.conv3d(
        x, pool.weight.to(x.dtype).repeat(channels // width, 1, 1, 1, 1), None,
        pool.stride, paddings(pool.weight.shape[2:], causal), 1, channels)
    x = (x[:, :, :size[0]] if causal else x).flatten(2).transpose(1, 2)
    x = torch.cat((tokens[:, :first], x), 1).unflatten(2, (-1, width))
    return layer_norm_definition(x, pool.gamma, pool.beta, eps).flatten(2)


def pool_norm(tokens: Union[Tensor, Sequence[Tensor]], size: Sequence[int],
              pools: Sequence[Pool], causal: bool = False,
              eps: float = 1e-6) -> List[Tensor]:
    """Strided pooling of tokens before their projection (MViT, eq. 1).

    For each of ``pools``, a depthwise convolution over the grid of tokens,
    shared by the heads and without bias, then LayerNorm over each head's
    channels on all tokens. Tokens before the grid (the class token) by-pass
    the convolution. Sums and statistics are float32 for lower dtypes.

    Args:
        tokens (Tensor | Sequence[Tensor]): (B, P + T*H*W, C), P tokens that
            are no grid first; one for all pools, or one each, of one shape.
            Under autocast they are cast to autocast's dtype.
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
    tokens = [tokens] if isinstance(tokens, Tensor) else list(tokens)
    tokens = [x.to(activation_dtype(x)) for x in tokens]
    if is_exporting():
        return [
            pool_norm_definition(tokens[i % len(tokens)], size, x, causal, eps)
            for i, x in enumerate(pools)]
    weights, gammas, betas, strides = zip(*pools)
    keep = torch.is_grad_enabled() and any(
        x.requires_grad for x in (*tokens, *weights, *gammas, *betas))
    return list(
        call('pool_norm', tokens, weights, gammas, betas, size,
             [s for stride in strides for s in stride], causal, eps, keep)[0])


# ------------------------------------------------------------- the operator
Lists = List[Tensor]


def _forward(tokens: Lists, weights: Lists, gammas: Lists, betas: Lists,
             size: List[int], strides: List[int], causal: bool, eps: float,
             keep: bool) -> Tuple[Lists, Tensor, Tensor]:
    """Results, and what the backward pass needs; that is empty unless keep.

    Pooled tokens before the norm, (rows of all pools, C), and their means and
    inverse deviations, (2, rows, heads).
    """
    form = triton_form(tokens[0], 'triton_pooling') or plain_pooling
    return form.forward(tokens, weights, gammas, betas, _geometries(
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
                causal: bool) -> Tuple[Geometry, ...]:
    kernel = tuple(weights[0].shape[2:])
    # Sizes may be symbols of the compiler, which are not to be kept.
    known = set(map(type, (*size, *kernel))) == {int}
    make = _make_geometries if known else _make_geometries.__wrapped__
    return make(tuple(size), kernel, tuple(strides), causal)


@functools.lru_cache(4096)
def _make_geometries(size: Size, kernel: Size, strides: Tuple[int, ...],
                     causal: bool) -> Tuple[Geometry, ...]:
    strides = [strides[i:i + 3] for i in range(0, len(strides), 3)]
    return tuple(
        Geometry(size, out_size(size, kernel, stride, causal), kernel, stride,
                 paddings(kernel, causal)) for stride in strides)


def _fake(tokens, weights, gammas, betas, size, strides, causal, eps, keep):
    like, width = tokens[0], weights[0].shape[0]
    batch, num, channels = like.shape
    first = num - math.prod(size)
    outs = [like.new_empty(batch, first + math.prod(geo.out), channels)
            for geo in _geometries(size, weights, strides, causal)]
    total = sum(batch * x.shape[1] for x in outs) if keep else 0
    return outs, like.new_empty(total, channels), like.new_empty(
        (2, total, channels // width), dtype=statistics_dtype(like))


def _backward(grads: Lists, tokens: Lists, conv: Tensor, stats: Tensor,
              weights: Lists, gammas: Lists, size: List[int],
              strides: List[int], causal: bool, need_tokens: bool,
              need_weights: bool) -> Tuple[Lists, Tensor, Tensor, Tensor]:
    """Gradients of the tokens, and of weights, gammas and betas, stacked.

    Empty where not needed.
    """
    form = triton_form(tokens[0], 'triton_pooling') or plain_pooling
    return form.backward(grads, tokens, conv, stats, weights, gammas,
                         _geometries(size, weights, strides, causal),
                         need_tokens, need_weights)


def _backward_fake(grads, tokens, conv, stats, weights, gammas, size, strides,
                   causal, need_tokens, need_weights):
    dtokens = [x.new_empty(x.shape) for x in tokens if need_tokens]
    num = len(weights) if need_weights else 0
    params = [x.new_empty(num, *x.shape)
              for x in (weights[0], gammas[0], gammas[0])]
    return dtokens, *params


class _PoolNorm(torch.autograd.Function):

    @staticmethod
    def forward(ctx, options, num, *args):
        groups = [args[i * num:i * num + num] for i in range(3)]
        tokens = args[3 * num:]
        outs, conv, stats = below_autograd('pool_norm', tokens, *groups,
                                           *options)
        ctx.save_for_backward(conv, stats, *groups[0], *groups[1], *tokens)
        ctx.mark_non_differentiable(conv, stats)
        # Zeros for what is no result would be a kernel each.
        ctx.set_materialize_grads(False)
        ctx.options, ctx.num = options, num
        ctx.shapes = [x.shape for x in outs]
        return (*outs, conv, stats)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        conv, stats, *saved = ctx.saved_tensors
        num, (size, strides, causal) = ctx.num, ctx.options[:3]
        tokens = saved[2 * num:]
        grads = [conv.new_zeros(shape) if grad is None else grad
                 for grad, shape in zip(grads, ctx.shapes)]
        need = ctx.needs_input_grad[2:]
        dtokens, *params = call('pool_norm_backward', grads, tokens, conv,
                                stats, saved[:num], saved[num:2 * num], size,
                                strides, causal, any(need[3 * num:]),
                                any(need[:3 * num]))
        params = [x for group in params for x in group.unbind()
                  ] or [None] * 3 * num
        return (None, None, *params, *(dtokens or [None] * len(tokens)))


def _differentiable(tokens, weights, gammas, betas, size, strides, causal,
                    eps, keep):
    options = (size, strides, causal, eps, keep)
    if not keep and not torch._C._are_functorch_transforms_active():
        return below_autograd('pool_norm', tokens, weights, gammas, betas,
                              *options)
    num = len(weights)
    *outs, conv, stats = _PoolNorm.apply(options, num, *weights, *gammas,
                                         *betas, *tokens)
    return list(outs), conv, stats


register(
    'pool_norm', '(Tensor[] tokens, Tensor[] weights, Tensor[] gammas, '
    'Tensor[] betas, SymInt[] size, int[] strides, bool causal, float eps, '
    'bool keep) -> (Tensor[], Tensor, Tensor)', _forward, _fake,
    _differentiable)
register(
    'pool_norm_backward', '(Tensor[] grads, Tensor[] tokens, Tensor conv, '
    'Tensor stats, Tensor[] weights, Tensor[] gammas, SymInt[] size, '
    'int[] strides, bool causal, bool need_tokens, bool need_weights) -> '
    '(Tensor[], Tensor, Tensor, Tensor)', _backward, _backward_fake)
