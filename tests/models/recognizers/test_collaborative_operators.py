# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What clips that share a memory dispatch, beside clips that do not."""

import pytest
import torch
from helpers.models import SLOWONLY
from helpers.operators import Operators
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

B, N = 2, 4
MODEL = dict(
    backbone=SLOWONLY,
    cls_head=dict(type='I3DHead', num_classes=3, in_channels=32))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')


def training_step(num_videos, num_clips, **cfg):
    model = MODELS.build({**MODEL, **cfg}).train()
    inputs = torch.randn(num_videos, num_clips, 3, 2, 32, 32)
    samples = [ActionDataSample().set_gt_label(0) for _ in range(num_videos)]
    with Operators() as operators:
        losses = model(inputs, samples, mode='loss')
        sum(v for k, v in losses.items() if 'loss' in k).backward()
    norms = sum(isinstance(x, torch.nn.BatchNorm3d) for x in model.modules())
    return operators.counts, norms


def test_training_dispatches_little_more_than_without_memory():
    plain, _ = training_step(B * N, 1, type='Recognizer3D')
    shared, norms = training_step(
        B, N, type='CollaborativeRecognizer3D',
        neck=dict(type='CollaborativeMemory', in_channels=32))
    more = shared - plain
    # Activations in place after a view would copy their gradients.
    assert more['new_empty_strided'] == 0
    assert more['copy_'] + more['clone'] < 10
    # A norm of groups: zeros for their statistics, weights and their
    # gradients once a group, the running averages.
    assert sum(more.values()) <= 10 * norms + 80
