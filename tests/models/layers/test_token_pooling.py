# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.models.layers.token_pooling import depthwise_conv


@pytest.mark.parametrize('stride', [(1, 2, 2), (1, 8, 8)])
def test_bfloat16_gradients_on_a_cpu_are_finite(stride):
    """Whatever the memory held before: torch reads some it never wrote."""
    for _ in range(30):
        junk = [
            torch.full((n, ), float('nan'))
            for n in (10, 100, 1000, 5000, 10000, 50000) for _ in range(3)
        ]
        del junk
        x = torch.randn(2, 2, 8, 8, 16, requires_grad=True)
        weight = torch.randn(16, 1, 3, 3, 3, requires_grad=True)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            y = depthwise_conv(x, weight, stride, False)
        assert y.dtype == torch.bfloat16
        y.backward(torch.randn_like(y))
        assert weight.grad.isfinite().all() and x.grad.isfinite().all()


def test_precision_is_that_of_the_input():
    weight = torch.randn(4, 1, 3, 3, 3)
    x = torch.randn(1, 4, 4, 4, 8)
    exact = depthwise_conv(x.double(), weight.double(), (1, 2, 2), False)
    assert exact.dtype == torch.float64
    assert (depthwise_conv(x, weight, (1, 2, 2), False) -
            exact).abs().max() < 1e-5
    low = depthwise_conv(x.bfloat16(), weight.bfloat16(), (1, 2, 2), False)
    assert low.dtype == torch.bfloat16
