# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch
from helpers.models import MEMVIT
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

STREAMS = ['ab', 'ab', 'ba', 'bc', 'bc', 'c', 'c', 'cd']


def build(**kwargs):
    torch.manual_seed(0)
    model = MODELS.build(dict(type='OnlineRecognizer3D', backbone=MEMVIT,
                              cls_head=dict(type='MViTHead', in_channels=32,
                                            num_classes=3, dropout_ratio=0.),
                              **kwargs))
    for param in model.parameters():
        param.data += 0.2 * torch.randn_like(param)
    return model.eval()


def predict(model, names, position, size=32):
    gen = torch.Generator().manual_seed(position + len(names))
    inputs = torch.randn(len(names), 1, 3, 4, size, size, generator=gen)
    samples = [ActionDataSample(metainfo=dict(video_id=x, timestamp=position))
               for x in names]
    device = next(model.parameters()).device
    with torch.no_grad():
        out = model(inputs.to(device), samples, mode='predict')
    return torch.stack([x.pred_score for x in out])


def same_as_eager(model, eager):
    """Streams that start, end, change lanes; other sizes and batches."""
    for position, names in enumerate(STREAMS):
        for size in (32, 48):
            views = [x + str(size) for x in names]
            torch.testing.assert_close(predict(model, views, position, size),
                                       predict(eager, views, position, size))


def train(model, names, position, size=32, unroll=1, backward=True):
    """Loss and gradients of a step of training."""
    gen = torch.Generator().manual_seed(position + len(names))
    num = len(names) * unroll
    inputs = torch.randn(num, 1, 3, 4, size, size, generator=gen)
    samples = [
        ActionDataSample(
            metainfo=dict(video_id=x, timestamp=position + i)).set_gt_label(
                position % 3) for i in range(unroll) for x in names]
    device = next(model.parameters()).device
    losses = model.train()(inputs.to(device), samples, mode='loss')
    if backward:
        losses['loss_cls'].backward()
    return losses['loss_cls']


def same_training(model, eager, tolerance=1e-5):
    """Streams start, end and move; gradients add up over two steps."""
    models = (model, eager)
    optimizers = [torch.optim.SGD(x.parameters(), 0.01) for x in models]
    for position, names in enumerate(STREAMS):
        losses = [train(x, names, position) for x in models]
        torch.testing.assert_close(*losses, rtol=tolerance, atol=tolerance)
        for own, other in zip(*[x.parameters() for x in models]):
            assert (own.grad is None) == (other.grad is None)
            if own.grad is not None:
                error = (own.grad - other.grad).norm()
                assert error <= tolerance * (1 + other.grad.norm())
        if position % 2:
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()


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


def test_training_by_replay_equals_eager(plain_capture):
    model = build(cuda_graph=True)
    same_training(model, build())
    # Two batch sizes, forward and backward.
    assert len(plain_capture) == 4
    # Evaluation has graphs of its own, and sees what was trained.
    for bank in model.banks.values():
        bank.clear()
    plain = copy.deepcopy(model)
    plain.cuda_graph = False
    same_as_eager(model.eval(), plain.eval())


def test_training_that_a_graph_cannot_replay_runs_eagerly(plain_capture):
    model, eager = build(cuda_graph=True), build()
    losses = [train(x, 'ab', 0, unroll=3) for x in (model, eager)]
    torch.testing.assert_close(*losses)
    model = build(cuda_graph=True)
    for block in model.backbone.blocks:
        block.with_cp = True
    train(model, 'ab', 0)
    assert not plain_capture


def test_weights_frozen_later_are_captured_anew(plain_capture):
    model = build(cuda_graph=True)
    model.backbone.requires_grad_(False)
    model.backbone.blocks[-1].requires_grad_(True)
    train(model, 'ab', 0)
    model.requires_grad_(True)
    model.zero_grad()
    train(model, 'ab', 1)
    assert all(x.grad is not None for x in model.backbone.parameters())


def test_a_frozen_backbone_is_replayed_too(plain_capture):
    model, eager = build(cuda_graph=True), build()
    for each in (model, eager):
        each.backbone.requires_grad_(False)
    same_training(model, eager)
    # Of two batch sizes; there is no gradient.
    assert len(plain_capture) == 2


def test_a_late_backward_pass_is_told(plain_capture):
    model = build(cuda_graph=True)
    first = train(model, 'ab', 0, backward=False)
    train(model, 'ab', 1)
    with pytest.raises(RuntimeError, match='cuda_graph'):
        first.backward()


def test_on_a_cpu_it_runs_eagerly():
    model = build(cuda_graph=True)
    torch.testing.assert_close(
        predict(model, 'ab', 0), predict(build(), 'ab', 0))
    assert not model._graphs._graphs


@pytest.mark.cuda
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_graphs_on_a_gpu_equal_eager(dtype):
    model, eager = build(cuda_graph=True).cuda(), build().cuda()
    with torch.autocast('cuda', dtype, enabled=dtype != torch.float32):
        same_as_eager(model, eager)
    assert len(model._graphs._graphs) == 4


@pytest.mark.cuda
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_training_graphs_on_a_gpu_equal_eager(dtype):
    model, eager = build(cuda_graph=True).cuda(), build().cuda()
    # On a GPU, attention adds gradients up in any order.
    tolerance = 5e-2 if dtype == torch.bfloat16 else 1e-3
    with torch.autocast('cuda', dtype, enabled=dtype != torch.float32):
        same_training(model, eager, tolerance)
    assert len(model._graphs._graphs) == 2
