# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.ops import attention


@pytest.mark.parametrize('batch', [1, 2])
def test_gradients_of_folding_and_unfolding(batch):
    size, n, c, e = (2, 3, 2), 2, 4, 8
    q = torch.randn(batch, 13, n, c, dtype=torch.double, requires_grad=True)
    folded = torch.randn(7, e, c, dtype=torch.double, requires_grad=True)
    bias = torch.randn(2, e, dtype=torch.double)
    fold = attention._FoldQueries.apply
    for a, b in zip(
            fold(q, folded, bias, size),
            attention.fold_queries_definition(q, folded, bias, size)):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(
        lambda *x: fold(*x, bias, size), (q, folded),
        check_undefined_grad=False)
    out = torch.randn(
        batch, n, 13, c + e, dtype=torch.double, requires_grad=True)
    for grid in (None, q[:, 1:].detach().requires_grad_()):
        torch.testing.assert_close(
            attention._UnfoldOutput.apply(out, grid, c),
            attention.unfold_output_definition(out, grid, c))
        assert torch.autograd.gradcheck(
            lambda *x: attention._UnfoldOutput.apply(*x, c), (out, grid))
