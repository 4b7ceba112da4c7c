# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.ops import Pool, out_size, plain_pooling, pool_norm

SIZE = (3, 4, 5)
STRIDES = [(1, 1, 1), (1, 2, 2), (2, 2, 3)]


def make(dtype=torch.float64, width=3):
    tokens = torch.randn(2, 61, 2 * width, dtype=dtype, requires_grad=True)
    params = [torch.randn(shape, dtype=dtype, requires_grad=True)
              for _ in STRIDES
              for shape in ((width, 1, 3, 3, 3), (width, ), (width, ))]
    return tokens, params


def pools(params):
    return [Pool(*params[3 * i:3 * i + 3], s) for i, s in enumerate(STRIDES)]


@pytest.mark.parametrize('causal', [False, True])
def test_gradients(causal):
    tokens, params = make()
    assert torch.autograd.gradcheck(lambda x, *params: pool_norm(
                                        x, SIZE, pools(params), causal),
                                    (tokens, *params), fast_mode=True)


@pytest.mark.parametrize('batch', [0, 2])
def test_the_plain_form_of_other_devices(batch, monkeypatch):
    """Heads folded into the batch give what the channels' layout gives."""
    tokens, params = make()
    tokens = tokens.detach()[:batch].requires_grad_()

    def results():
        outs = pool_norm(tokens, SIZE, pools(params))
        loss = sum(x.sin().sum() for x in outs)
        return (*outs, *torch.autograd.grad(loss, (tokens, *params)))

    expected = results()
    monkeypatch.setattr(plain_pooling, '_channels_last', lambda x: False)
    for a, b in zip(results(), expected):
        torch.testing.assert_close(a, b)


def test_only_what_needs_a_gradient_gets_one():
    tokens, params = make()
    pool_norm(tokens.detach(), SIZE, pools(params))[0].sum().backward()
    assert tokens.grad is None and params[0].grad is not None
    frozen = [x.detach() for x in params]
    pool_norm(tokens, SIZE, pools(frozen))[1].sin().sum().backward()
    assert tokens.grad.abs().sum() > 0


def test_other_derivatives_are_refused():
    tokens, params = make()

    def pooled(x):
        return pool_norm(x, SIZE, pools(params))[0]

    with torch.no_grad(), pytest.raises(RuntimeError):
        torch.func.jvp(pooled, (tokens, ), (tokens, ))
    grad, = torch.autograd.grad(pooled(tokens).sin().sum(), tokens,
                                create_graph=True)
    with pytest.raises(RuntimeError):
        grad.sum().backward()


def test_sizes():
    assert out_size((8, 7, 7), (7, 3, 3), (4, 2, 2)) == (2, 4, 4)
    tokens, params = make()
    outs = pool_norm(tokens, SIZE, pools(params))
    assert [x.shape[1] for x in outs] == [61, 1 + 3 * 2 * 3, 1 + 2 * 2 * 2]


@pytest.mark.skipif(
    not hasattr(torch.library, 'opcheck'), reason='torch has no opcheck')
def test_registration():
    tokens, params = make(torch.float32)
    args = [params[i::3] for i in range(3)]
    torch.library.opcheck(torch.ops.memvit.pool_norm.default,
                          ([tokens], *args, list(SIZE),
                           sum(map(list, STRIDES), []), False, 1e-6, True))


def test_compiled_in_one_graph():
    tokens, params = make(torch.float32)

    def loss(tokens, params):
        return sum(x.sin().sum()
                   for x in pool_norm(tokens, SIZE, pools(params)))

    compiled = torch.compile(loss, fullgraph=True, backend='aot_eager')
    leaves = (tokens, *params)
    for a, b in zip(torch.autograd.grad(compiled(tokens, params), leaves),
                    torch.autograd.grad(loss(tokens, params), leaves)):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        assert torch.equal(compiled(tokens, params), loss(tokens, params))


def test_autocast_chooses_the_dtype():
    tokens, params = make(torch.float32, width=16)
    exact = pool_norm(tokens, SIZE, pools(params))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = pool_norm(tokens, SIZE, pools(params))
    for out, x in zip(outs, exact):
        assert out.dtype == torch.bfloat16
        assert (out - x).abs().max() < .03 * x.abs().max()
    sum(x.float().sum() for x in outs).backward()
    assert params[0].grad.dtype == tokens.grad.dtype == torch.float32


@pytest.mark.parametrize('stride', [(1, 2, 2), (1, 8, 8)])
def test_bfloat16_gradients_on_a_cpu_are_finite(stride):
    """Whatever the memory held before: torch reads some it never wrote."""
    for _ in range(30):
        junk = [torch.full((n, ), float('nan'))
                for n in (10, 100, 1000, 5000, 10000, 50000) for _ in range(3)]
        del junk
        x = torch.randn(2, 128, 16, requires_grad=True)
        weight = torch.randn(16, 1, 3, 3, 3, requires_grad=True)
        pool = Pool(weight, torch.ones(16), torch.zeros(16), stride)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            y = pool_norm(x, (2, 8, 8), [pool])[0]
        y.backward(torch.randn_like(y))
        assert weight.grad.isfinite().all() and x.grad.isfinite().all()
