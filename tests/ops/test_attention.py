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
    tables, matrix = [leaf(3, c), leaf(2, c)], leaf(7 * e, 5).detach()
    channels = leaf(batch, 5, e).detach()
    bias = torch.randn(2, e, dtype=torch.double)
    folded = (matrix @ torch.cat(tables)).view(7, e, c)

    def fold(*args):
        return attention._Fold.apply(channels, bias, size, matrix, *args)

    args = q, k, v, *tables
    for a, b in zip(fold(*args), attention.fold_definition(
            q, k, v, folded, channels, bias, size)):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(fold, args, check_undefined_grad=False)
    out = torch.randn(
        batch, n, 13, c + e, dtype=torch.double, requires_grad=True)
    for own in (None, q.detach()):
        grid = None if own is None else own[:, 1:].requires_grad_()

        def unfold(out, grid, own=own):
            return attention._Unfold.apply(out, own, c, grid)

        torch.testing.assert_close(
            unfold(out, grid),
            attention.unfold_output_definition(out, grid, c))
        assert torch.autograd.gradcheck(unfold, (out, grid))
