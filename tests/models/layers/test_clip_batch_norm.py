# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import pickle

import pytest
import torch
from mmengine.model import convert_sync_batchnorm
from mmengine.model.utils import _BatchNormXd, revert_sync_batchnorm
from torch import nn

from mmaction_memvit.models.layers.clip_batch_norm import (
    ClipBatchNorm3d,
    ClipBatchNormXd,
    ClipGroups,
    ClipSyncBatchNorm,
    group_batch_norms,
)

B, N, C = 3, 2, 4
KINDS = {'vectors': (nn.BatchNorm1d, 1, ()),
         'places': (nn.BatchNorm1d, 1, (5, )),
         'images': (nn.BatchNorm2d, 1, (5, 5)),
         'frames': (nn.BatchNorm2d, 3, (5, 5)),
         'clips': (nn.BatchNorm3d, 1, (2, 5, 5)),
         'sync': (nn.SyncBatchNorm, 1, (2, 5, 5)),
         'reverted': (_BatchNormXd, 1, (2, 5, 5))}


def make(kind, **kwargs):
    torch.manual_seed(0)
    cls, frames, size = KINDS[kind]
    norm = cls(C, **kwargs).double()
    for tensor in (*norm.parameters(), *norm.buffers()):
        if tensor.is_floating_point():
            tensor.data += torch.rand_like(tensor)
    # Each clip differs from the others in more than noise.
    x = torch.randn(B, N, frames, C, *size, dtype=torch.double)
    x += 5 * torch.randn(B, N, 1, C, *[1] * len(size))
    return norm, x.flatten(0, 2)


def by_hand(norm, x, frames):
    """One group after the other; moments of its values."""
    parts, means, variances = [], [], []
    shape = [1, C] + [1] * (x.ndim - 2)
    x = x.unflatten(0, (B, N, frames))
    for n in range(N):
        group = x[:, n].flatten(0, 1)
        values = group.transpose(0, 1).flatten(1)
        mean, var = values.mean(1), values.var(1, unbiased=False)
        y = (group - mean.view(shape)) / (var.view(shape) + norm.eps).sqrt()
        if norm.affine:
            y = y * norm.weight.view(shape) + norm.bias.view(shape)
        parts.append(y.unflatten(0, (B, frames)))
        means.append(mean)
        variances.append(values.var(1, unbiased=True))
    out = torch.stack(parts, 1).flatten(0, 2)
    return out, sum(means) / N, sum(variances) / N


@pytest.mark.parametrize('affine', [True, False])
@pytest.mark.parametrize('kind', KINDS)
def test_groups_are_those_by_hand(kind, affine):
    norm, x = make(kind, affine=affine)
    before = copy.deepcopy(norm)
    state = {k: v.clone() for k, v in norm.state_dict().items()}
    groups = ClipGroups()
    group_batch_norms(norm, groups)
    assert norm.state_dict().keys() == state.keys()
    x.requires_grad_()
    target = torch.randn_like(x)
    with groups(B, N):
        out = norm(x)
    expected, mean, var = by_hand(before, x, KINDS[kind][1])
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(norm.running_mean,
                               0.9 * state['running_mean'] + 0.1 * mean)
    torch.testing.assert_close(norm.running_var,
                               0.9 * state['running_var'] + 0.1 * var)
    assert norm.num_batches_tracked == 1
    leaves = [x, *norm.parameters()]
    got = torch.autograd.grad((out * target).sum(), leaves)
    leaves = [x, *before.parameters()]
    for a, b in zip(
            got, torch.autograd.grad((expected * target).sum(), leaves)):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('momentum', [0.1, None])
def test_passes_of_a_step_move_the_averages_as_one(momentum):
    norm, x = make('clips', momentum=momentum)
    groups = ClipGroups()
    group_batch_norms(norm, groups)
    parts = copy.deepcopy(norm)
    of_parts = parts.clip_groups
    for step in range(3):
        y = x * (step + 1) + step
        with groups(B, N):
            norm(y)
        for n in range(N):
            clip = y.unflatten(0, (B, N))[:, n]
            with of_parts(B, 1, 1 / N, n == 0):
                first = parts(clip)
            with of_parts(B, 1, share=0):
                torch.testing.assert_close(parts(clip), first)
    for key, value in norm.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[key], value)


def test_without_groups_or_in_evaluation_it_is_the_stock_layer():
    norm, x = make('clips')
    stock = copy.deepcopy(norm)
    groups = ClipGroups()
    group_batch_norms(norm, groups)
    torch.testing.assert_close(norm(x), stock(x))
    norm.eval(), stock.eval()
    with groups(B, N):
        torch.testing.assert_close(norm(x), stock(x))
    for key, value in norm.state_dict().items():
        torch.testing.assert_close(value, stock.state_dict()[key])


def test_contexts_nest_and_can_be_entered_again():
    norm, x = make('clips')
    groups = ClipGroups()
    group_batch_norms(norm, groups)
    context = groups(B, N, share=0)
    with context, groups(B * N, 1, share=0):
        inner = norm(x)
    with context:
        outer = norm(x)
    with context:
        assert (norm(x) == outer).all()
    assert (inner - outer).abs().max() > 1e-3
    # What a backbone's own checkpointing computes later.
    with groups(B, N):
        norm(x)
    assert (norm(x) == outer).all()
    assert norm.num_batches_tracked == 1


def test_conversion_to_and_from_sync():
    model = nn.Sequential(nn.Conv3d(3, C, 1), nn.BatchNorm3d(C))
    groups = ClipGroups()
    group_batch_norms(model, groups)
    assert type(model[1]) is ClipBatchNorm3d
    assert type(pickle.loads(pickle.dumps(model))[1]) is ClipBatchNorm3d
    model = group_batch_norms(convert_sync_batchnorm(model, 'torch'), groups)
    assert type(model[1]) is ClipSyncBatchNorm
    # As the runner does where there is one process.
    model = group_batch_norms(revert_sync_batchnorm(model), groups)
    assert type(model[1]) is ClipBatchNormXd


def test_accelerators_use_the_layer_of_the_host(monkeypatch):
    """One call of PyTorch's SyncBatchNorm, with clips as channels."""
    norm, x = make('sync')
    plain, _ = make('clips')
    groups = ClipGroups()
    group_batch_norms(norm, groups), group_batch_norms(plain, groups)
    calls = []

    def apply(x, weight, bias, mean, var, eps, momentum, group, size):
        calls.append((momentum, group, size))
        return nn.functional.batch_norm(x, mean, var, weight, bias, True,
                                        momentum, eps)

    monkeypatch.setattr(torch.nn.modules.batchnorm.sync_batch_norm, 'apply',
                        apply)
    # The host's layer refuses a CPU; this names it as the other backend.
    monkeypatch.setattr(torch._C, '_get_privateuse1_backend_name',
                        lambda: 'cpu')
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_world_size', lambda *x: 2)
    monkeypatch.setattr(ClipSyncBatchNorm, '_by_sums', lambda *x: False)
    group = norm.process_group = object()
    with groups(B, N):
        y, expected = norm(x), plain(x)
    assert calls == [(1., group, 2)]
    torch.testing.assert_close(y, expected)
    for name in ('running_mean', 'running_var'):
        torch.testing.assert_close(getattr(norm, name), getattr(plain, name))


def test_what_cannot_be_grouped_is_named():

    class Other(nn.BatchNorm3d):

        def forward(self, x):
            return x

    with pytest.raises(TypeError, match='1.*Other.*BN3d'):
        group_batch_norms(nn.Sequential(nn.Identity(), Other(3)), ClipGroups())
    norm, x = make('clips')
    groups = ClipGroups()
    group_batch_norms(norm, groups)
    with pytest.raises(ValueError, match='6.*4.*3'), \
            groups(3, 4):
        norm(x)
    with pytest.raises(ValueError, match='one v.*SyncBN'), \
            groups(1, 6):
        norm(x[..., :1, :1, :1])
