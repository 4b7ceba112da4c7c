# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a step asks of the host: on a GPU, small steps are bound by it."""
import pytest
import torch
from helpers.operators import Operators
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import nn

from mmaction_memvit.models import MeMViT

# Without and with autocast. Reached: 358 and 408 operators, 1,010 and 1,119.
FORWARD = {False: 365, True: 415}
TRAINING = {False: 1030, True: 1140}
# Operators by which the host reads from the device.
SYNCS = ('_local_scalar_dense', 'nonzero', 'is_nonzero', 'masked_select',
         'unique', 'equal')


@pytest.fixture(scope='module')
def model():
    return MeMViT('small', spatial_size=64, mem_len=2, drop_path_rate=0.2)


def autocast(on):
    return torch.autocast('cpu', torch.bfloat16, enabled=on)


@pytest.mark.parametrize('mixed', [False, True])
def test_operators_of_a_forward_pass(model, mixed):
    model.eval()
    with torch.no_grad(), autocast(mixed):
        memory = model.init_memory(2)
        for _ in range(2):
            with Operators() as ops:
                _, memory = model(torch.randn(2, 3, 16, 64, 64), memory)
    assert sum(ops.counts.values()) <= FORWARD[mixed], ops.counts


@pytest.mark.parametrize('mixed', [False, True])
def test_operators_of_a_training_step(model, mixed):
    model.train()
    head = nn.Linear(768, 400)
    with autocast(mixed):
        memory = model.init_memory(2)
    for _ in range(2):
        model.zero_grad()
        head.zero_grad()
        with Operators() as ops:
            with autocast(mixed):
                feats, memory = model(
                    torch.randn(2, 3, 16, 64, 64), memory.detach())
                loss = nn.functional.cross_entropy(
                    head(feats[-1][1]).float(), torch.tensor([1, 2]))
            loss.backward()
    assert sum(ops.counts.values()) <= TRAINING[mixed], ops.counts


def recognizer():
    return MODELS.build(
        dict(type='OnlineRecognizer3D',
             backbone=dict(
                 type='MeMViT', arch='tiny', spatial_size=32, temporal_size=4,
                 mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2))),
             cls_head=dict(type='MViTHead', in_channels=256, num_classes=3)))


def step(model, position, device='cpu'):
    """Training, of streams of which one starts anew now and then."""
    samples = [
        ActionDataSample(metainfo=dict(video_id=video, timestamp=position))
        for video in ('a', f'b{position // 2}')]
    feats, _ = model.extract_feat(
        torch.randn(2, 1, 3, 4, 32, 32, device=device), data_samples=samples)
    feats[-1][1].sum().backward()


def test_no_step_waits_for_the_device():
    model = recognizer().train()
    for position in range(5):
        with Operators() as ops:
            step(model, position)
        # On a CPU, and there alone, the bank asks whether lanes are finite.
        assert ops.counts.pop('_local_scalar_dense') == 1
        assert not set(ops.counts) & set(SYNCS)


@pytest.mark.cuda
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_no_step_waits_for_a_gpu(dtype):
    model = recognizer().cuda().train()
    with torch.autocast('cuda', dtype, enabled=dtype != torch.float32):
        for position in range(8):
            # Kernels are tuned and constants made in the first steps.
            if position == 4:
                torch.cuda.set_sync_debug_mode('error')
            try:
                step(model, position, 'cuda')
            finally:
                torch.cuda.set_sync_debug_mode('default')
