# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.ops import attention


@pytest.mark.parametrize('batch', [1, 2])
def test_gradients_of_folding_and_unfolding(batch):
    size, n, c, e = (2, 3, 2), 2, 4, 8

    def leaf(*shape):
        return torch.randn(*shape, dtype=torch.double, requires_grad=True)

    q, k, v = leaf(batch, 13, n, c), leaf(batch, 5, n, c), leaf(batch, 5, n, c)
    folded = leaf(7, e, c)
    channels = leaf(batch, 5, e).detach()
    bias = torch.randn(2, e, dtype=torch.double)
    fold = attention._Fold.apply
    args = q, k, v, folded, channels, bias, size
    for a, b in zip(fold(*args), attention.fold_definition(*args)):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(lambda *x: fold(*x, channels, bias, size),
                                    args[:4], check_undefined_grad=False)
    out = torch.randn(
        batch, n, 13, c + e, dtype=torch.double, requires_grad=True)
    for grid in (None, q[:, 1:].detach().requires_grad_()):
        torch.testing.assert_close(
            attention._Unfold.apply(out, grid, c),
            attention.unfold_output_definition(out, grid, c))
        assert torch.autograd.gradcheck(
            lambda *x: attention._Unfold.apply(*x, c), (out, grid))
