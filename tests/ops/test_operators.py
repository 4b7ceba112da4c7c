# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Operators against their definitions in float64, on any device.

tests/ops/test_kernels.py runs them again: in Triton's interpreter, which
must be chosen before Triton is imported, and on a GPU.
"""
import os

import pytest
import torch

from mmaction_memvit.ops import Pool, add_layer_norm, layer_norm, pool_norm
from mmaction_memvit.ops.layer_norm import (
    add_layer_norm_definition,
    layer_norm_definition,
)
from mmaction_memvit.ops.library import call
from mmaction_memvit.ops.pooling import pool_norm_definition
from mmaction_memvit.ops.roi_align import box_weights_definition
from mmaction_memvit.ops.widen import (
    narrow,
    narrow_definition,
    widen,
    widen_definition,
)

DEVICE = os.environ.get('MEMVIT_TEST_DEVICE', 'cpu')
pytestmark = pytest.mark.cuda if DEVICE == 'cuda' else []
# Of values and of gradients, relative to the largest.
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float16: (5e-3, 1e-2),
              torch.bfloat16: (3e-2, 6e-2)}
DTYPES = list(TOLERANCES) if DEVICE == 'cuda' else [torch.float32]


def leaf(*shape, dtype=torch.float32):
    x = torch.randn(shape, dtype=dtype).to(DEVICE)
    return x.requires_grad_()


def compare(compute, define, leaves, dtype):
    """Values and gradients of ``compute`` and of ``define`` in float64."""
    exact = [x.detach().double().requires_grad_() for x in leaves]
    outs, expected = compute(*leaves), define(*exact)
    grads = [torch.randn_like(x) for x in outs]
    got = torch.autograd.grad(outs, leaves, grads)
    want = torch.autograd.grad(expected, exact, [x.double() for x in grads])
    for tolerance, pairs in zip(TOLERANCES[dtype],
                                (zip(outs, expected), zip(got, want))):
        for a, b in pairs:
            assert a.shape == b.shape
            if a.numel():
                scale = b.abs().max() + 1e-9
                assert (a - b).abs().max() / scale < tolerance
    assert all(x.dtype == y.dtype for x, y in zip(got, leaves))
    assert all(x.dtype == dtype and x.is_contiguous() for x in outs)


POOLINGS = [
    # batch, first, size, heads, width, kernel, strides, causal
    (2, 1, (1, 3, 2), 2, 20, (3, 3, 3), [(1, 1, 1), (1, 2, 2), (1, 2, 2)], 0),
    (1, 1, (2, 9, 3), 1, 24, (3, 3, 3), [(1, 8, 8)], 1),
    (1, 1, (5, 2, 3), 1, 300, (7, 3, 3), [(4, 2, 2)], 0),
    (1, 0, (3, 3, 4), 3, 16, (3, 3, 1), [(2, 1, 3)], 1),
    (0, 1, (3, 3, 4), 2, 8, (3, 3, 3), [(1, 1, 1)], 0),
    (3, 1, (3, 3, 2), 1, 24, (3, 3, 3), 2 * [(1, 1, 1)], 0),
]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('case', POOLINGS, ids=str)
def test_pooling(case, dtype):
    batch, first, size, heads, width, kernel, strides, causal = case
    num, causal = len(strides), bool(causal)
    tokens = leaf(batch, heads * width, first + size[0] * size[1] * size[2],
                  dtype=dtype)

    def pools(params):
        return [Pool(*params[i::num], stride)
                for i, stride in enumerate(strides)]

    compare(
        # Not contiguous: (B, C, N) transposed.
        lambda x, *params: pool_norm(
            x.transpose(1, 2), size, pools(params), causal),
        lambda x, *params: [
            pool_norm_definition(x.transpose(1, 2), size, p, causal)
            for p in pools(params)],
        [tokens, *(leaf(width, 1, *kernel) for _ in strides),
         *(leaf(width) for _ in range(2 * num))],
        dtype)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('num', [2, 3])
def test_pooling_of_tokens_of_their_own(num, dtype):
    size, kernel, stride = (5, 2, 3), (7, 3, 3), (4, 2, 2)
    tokens = [leaf(2, 31, 40, dtype=dtype) for _ in range(num)]

    def pools(params):
        return [Pool(*params[i::num], stride) for i in range(num)]

    compare(lambda *args: pool_norm(args[:num], size, pools(args[num:])),
            lambda *args: [pool_norm_definition(x, size, pool)
                           for x, pool in zip(args, pools(args[num:]))],
            [*tokens, *(leaf(40, 1, *kernel) for _ in range(num)),
             *(leaf(40) for _ in range(2 * num))],
            dtype)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('frames', [1, 2])
def test_widening(frames, dtype):
    b, size, n, c, e, keys = 2, (2, 3, 5), 3, 20, 12, 7
    lines, grid = (6, b * 5 * n), b * 31 * n * c

    def some(*shape):
        return leaf(*shape, dtype=dtype).detach()

    q, k, v = (some(b, num, n, c) for num in (31, keys, keys))
    args = (q, some(*lines, e), some(frames, e), k,
            some(frames, keys, e) if frames == b else some(1, keys, e), v,
            size)
    wide = widen(*args)
    for a, x in zip(wide, widen_definition(*args)):
        assert torch.equal(a, x)
    # A gradient's grid comes as part of a larger tensor.
    args = (*wide, some(grid).view(b, 31, n, c)[:, 1:], size)
    for a, x in zip(narrow(*args), narrow_definition(*args)):
        assert torch.equal(a, x)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('shape', [(3, 7, 20), (0, 20), (40, 33)])
def test_layer_norms(shape, dtype):
    x, branch = leaf(*shape, dtype=dtype), leaf(*shape, dtype=dtype)
    params = [leaf(shape[-1]), leaf(shape[-1])]
    scale = torch.rand(shape[0]).to(DEVICE, dtype)
    compare(lambda *args: [layer_norm(*args)],
            lambda *args: [layer_norm_definition(*args, 1e-6)], [x, *params],
            dtype)
    for s in (None, scale):
        compare(
            lambda *args, s=s: add_layer_norm(*args, 1e-6, s),
            lambda x, branch, *args, s=s: add_layer_norm_definition(
                x, branch, s, *args, 1e-6), [x, branch, *params], dtype)


def test_second_derivatives_of_layer_norm():
    def gradients(norm, *leaves):
        loss = norm(*leaves).sin().sum()
        return torch.autograd.grad(loss, leaves, create_graph=True)

    compare(lambda *x: gradients(layer_norm, *x),
            lambda *x: gradients(
                lambda *y: layer_norm_definition(*y, 1e-6), *x),
            [leaf(3, 20), leaf(20), leaf(20)], torch.float32)


def test_norm_parameters_of_any_layout():
    """As a checkpoint that is assigned may have them."""
    x = leaf(2, 9, 8)
    params = [leaf(8, 2), leaf(8, 2), leaf(4, 2)]
    weight = torch.randn(8, 1, 3, 3, 1, device=DEVICE)

    def norms(norm, pool, x, gamma, beta, scale):
        gamma, beta, scale = gamma[:, 0], beta[:, 0], scale[:2, 0].detach()
        out = pool(x, (2, 2, 2), Pool(weight.to(x), gamma, beta, (1, 1, 1)))
        return norm(x, out, gamma, beta, scale)

    compare(
        lambda *args: norms(lambda *y: add_layer_norm(*y[:4], 1e-6, y[4]),
                            lambda x, size, y: pool_norm(x, size, [y])[0],
                            *args, params[2]),
        lambda *args: norms(
            lambda x, y, gamma, beta, scale: add_layer_norm_definition(
                x, y, scale, gamma, beta, 1e-6),
            pool_norm_definition, *args, params[2].double()),
        [x, *params[:2]], torch.float32)


@pytest.mark.parametrize('ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('shape, bins', [((9, 14), (7, 3)), ((16, 16), (7, 7)),
                                         ((1, 2), (1, 2))])
def test_weights_of_boxes(ratio, aligned, shape, bins):
    """Within the map, beyond it, without a size, on its borders, turned."""
    height, width = shape
    ends = (torch.rand(12, 2, 2) * 2 - 0.5) * torch.tensor([width, height])
    boxes = ends.sort(1)[0].flatten(1)
    boxes[:4] = torch.tensor([[0, 0, width, height], [2, 2, 2, 2],
                              [-1, -1, width + 1, height + 1], [5, 5, 1, 1]])
    rule = shape, bins, ratio, aligned
    found = call('box_weights', boxes.to(DEVICE), *rule)
    for a, b in zip(found, box_weights_definition(boxes.double(), *rule)):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.cpu().double(), b, atol=2e-5, rtol=0)
    empty = call('box_weights', boxes[:0].to(DEVICE), *rule)
    assert [x.shape for x in empty] == [
        (0, num, size) for num, size in zip(bins, shape)]
    # What is no number stays none.
    odd = call('box_weights', boxes[:1].to(DEVICE) * float('nan'), *rule)
    assert all(x.isnan().all() for x in odd)
