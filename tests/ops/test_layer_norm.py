# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.ops import add_layer_norm, layer_norm


def make(dtype=torch.float64):
    return [torch.randn(shape, dtype=dtype, requires_grad=True)
            for shape in ((3, 4, 6), (3, 4, 6), (6, ), (6, ))]


@pytest.mark.parametrize('scale', [None, torch.tensor([0., 2., 1.])])
def test_gradients(scale):
    x, branch, *params = make()
    scale = None if scale is None else scale.double()
    assert torch.autograd.gradcheck(layer_norm, (x, *params))
    assert torch.autograd.gradcheck(
        lambda *args: add_layer_norm(*args, 1e-6, scale), (x, branch, *params))


def test_a_tangent_does_not_get_lost():
    x, _, *params = make()
    with torch.no_grad(), pytest.raises(RuntimeError):
        torch.func.jvp(lambda x: layer_norm(x, *params), (x, ), (x, ))


@pytest.mark.skipif(
    not hasattr(torch.library, 'opcheck'), reason='torch has no opcheck')
def test_registration():
    x, branch, *params = make(torch.float32)
    for more in ((None, None), (branch, None), (branch, torch.rand(3))):
        torch.library.opcheck(torch.ops.memvit.layer_norm.default,
                              (x, *more, *params, 1e-6))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_comes_in_and_goes_out(dtype):
    x, branch, *params = make(torch.float32)
    low = x.detach().to(dtype).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = layer_norm(low, *params)
        total, normed = add_layer_norm(low, branch.to(dtype), *params)
    assert out.dtype == total.dtype == normed.dtype == dtype
    assert (out - layer_norm(x, *params)).abs().max() < .05
    (out.sum() + normed.sum()).backward()
    assert low.grad.dtype == dtype
    assert params[0].grad.dtype == torch.float32


def test_compiled_in_one_graph():
    leaves = make(torch.float32)

    def loss(x, branch, gamma, beta):
        total, normed = add_layer_norm(x, branch, gamma, beta)
        return (total * layer_norm(normed, gamma, beta)).sum()

    compiled = torch.compile(loss, fullgraph=True, backend='aot_eager')
    for a, b in zip(torch.autograd.grad(compiled(*leaves), leaves),
                    torch.autograd.grad(loss(*leaves), leaves)):
        assert torch.equal(a, b)
