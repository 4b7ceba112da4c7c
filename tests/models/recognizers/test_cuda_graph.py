# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch
from helpers.models import MEMVIT
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

from mmaction_memvit.memory import state
from mmaction_memvit.models.recognizers.cuda_graph import CUDAGraphStep


def build(**kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='OnlineRecognizer3D',
            backbone=MEMVIT,
            cls_head=dict(type='MViTHead', in_channels=32, num_classes=3),
            **kwargs))
    for param in model.parameters():
        param.data += 0.2 * torch.randn_like(param)
    return model.eval()


def predict(model, names, position, size=32):
    gen = torch.Generator().manual_seed(position + len(names))
    inputs = torch.randn(len(names), 1, 3, 4, size, size, generator=gen)
    samples = [
        ActionDataSample(metainfo=dict(video_id=x, timestamp=position))
        for x in names
    ]
    device = next(model.parameters()).device
    with torch.no_grad():
        out = model(inputs.to(device), samples, mode='predict')
    return torch.stack([x.pred_score for x in out])


def same_as_eager(model, eager):
    """Streams that start, end, change lanes; other sizes and batches."""
    for position, names in enumerate(
        ['ab', 'ab', 'ba', 'bc', 'bc', 'c', 'c', 'cd']):
        for size in (32, 48):
            views = [x + str(size) for x in names]
            torch.testing.assert_close(
                predict(model, views, position, size),
                predict(eager, views, position, size))


@pytest.fixture
def plain_capture(monkeypatch):
    """Buffers and keys as with CUDA; a replay runs the step again."""
    captured = []

    def capture(run):
        out = run()
        captured.append(out)

        def replay():
            for own, new in zip(state.tensors(out), state.tensors(run())):
                own.copy_(new)

        return out, replay

    monkeypatch.setattr(CUDAGraphStep, 'capture', staticmethod(capture))
    monkeypatch.setattr(CUDAGraphStep, 'can_capture', lambda *_: True)
    return captured


def test_streams_by_replay_equal_eager_ones(plain_capture):
    eager = build()
    same_as_eager(build(cuda_graph=True), eager)
    # Two sizes, batches of two and of one.
    assert len(plain_capture) == 4


def test_weights_that_move_are_captured_anew(plain_capture):
    model, eager = build(cuda_graph=True), build()
    predict(model, 'ab', 0)
    for each in (model, eager):
        for param in each.parameters():
            param.data = 1.1 * param.data
        for bank in each.banks.values():
            bank.clear()
    torch.testing.assert_close(
        predict(model, 'ab', 0), predict(eager, 'ab', 0))
    assert len(plain_capture) == 2
    predict(copy.deepcopy(model), 'ab', 0)
    assert len(plain_capture) == 3


def test_on_a_cpu_it_runs_eagerly():
    model = build(cuda_graph=True)
    torch.testing.assert_close(
        predict(model, 'ab', 0), predict(build(), 'ab', 0))
    assert not model._graphs._graphs


@pytest.mark.cuda
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_graphs_on_a_gpu_equal_eager(dtype):
    model, eager = build(cuda_graph=True).cuda(), build().cuda()
    with torch.autocast('cuda', dtype, enabled=dtype != torch.float32):
        same_as_eager(model, eager)
    assert len(model._graphs._graphs) == 4
