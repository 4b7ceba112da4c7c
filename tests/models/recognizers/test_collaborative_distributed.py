# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Two processes make the step that one makes with the videos of both."""
import copy

import pytest
import torch
from helpers.distributed import spawn_two
from helpers.models import SLOWONLY
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmaction_memvit.apis.processes import leave_processes
from mmaction_memvit.models.layers.clip_batch_norm import (
    ClipBatchNorm3d,
    ClipSyncBatchNorm,
)

VIDEOS, CLIPS = 4, 3
MODES = ('batch', 'multi_iteration')


@MODELS.register_module(force=True)
class DoublePreprocessor(nn.Module):
    """Leaves all as it is."""

    def forward(self, data, training=False):
        return data


def build(mode):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='CollaborativeRecognizer3D', mode=mode,
             data_preprocessor=dict(type='DoublePreprocessor'),
             backbone=SLOWONLY,
             neck=dict(type='CollaborativeMemory', in_channels=32,
                       zero_init=False),
             cls_head=dict(type='I3DHead', num_classes=4, in_channels=32,
                           dropout_ratio=0., topk=(1, ))))
    return model.double().train()


def data(rank, world_size):
    gen = torch.Generator().manual_seed(0)
    inputs = torch.randn(
        VIDEOS, CLIPS, 3, 2, 32, 32, generator=gen, dtype=torch.double)
    # Videos that differ in brightness: a process alone has other moments.
    inputs += torch.arange(VIDEOS).view(-1, 1, 1, 1, 1, 1)
    samples = [ActionDataSample().set_gt_label(i) for i in range(VIDEOS)]
    share = slice(rank * VIDEOS // world_size,
                  (rank + 1) * VIDEOS // world_size)
    return dict(inputs=inputs[share], data_samples=samples[share])


def steps(model, rank, world_size):
    """State after two steps of two halves of a batch each."""
    optim = OptimWrapper(
        torch.optim.SGD(model.parameters(), 1e-3), accumulative_counts=2)
    for _ in range(4):
        model.train_step(data(rank, world_size), optim)
    return model.state_dict()


def one_of_two(rank, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=2)
    for mode in MODES:
        model = build(mode)
        ddp = MMDistributedDataParallel(model, broadcast_buffers=False)
        load_state_dict(ddp, model.state_dict())
        with pytest.raises(ValueError, match="begin with 'backbone.'"):
            load_state_dict(ddp, model.backbone.state_dict())
        for module in model.modules():
            # Only now: DDP refuses such layers on a CPU.
            if isinstance(module, ClipBatchNorm3d):
                module.__class__ = ClipSyncBatchNorm
                module.process_group = None
        steps(ddp, rank, 2)
        torch.save(model.state_dict(), f'{folder}/{mode}_{rank}.pth')
    leave_processes()


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp('distributed')
    spawn_two(one_of_two, folder)
    return folder


@pytest.mark.parametrize('mode', MODES)
def test_two_processes_are_one(results, mode):
    model = build(mode)
    before = copy.deepcopy(model.state_dict())
    expected = steps(model, 0, 1)
    first, second = (
        torch.load(results / f'{mode}_{rank}.pth') for rank in range(2))
    for key, value in expected.items():
        # Weights, and running averages, which DDP does not exchange.
        torch.testing.assert_close(first[key], value, msg=key)
        torch.testing.assert_close(second[key], value, msg=key)
    still = {k for k, v in before.items() if (v == expected[k]).all()}
    assert not [k for k in still if 'running' in k or 'conv' in k]
    assert expected['neck.paths.0.norm.num_batches_tracked'] == 4
