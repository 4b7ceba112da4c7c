# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whole models where users train: on a GPU, in mixed precision, for long.

On a CPU the same in short.
"""
import copy
import gc

import pytest
import torch
from helpers.boxes import DETECTOR, NUM_CLASSES, make_boxes
from helpers.models import SLOWONLY
from helpers.operators import compiles
from helpers.runs import MODEL
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.optim import AmpOptimWrapper
from mmengine.structures import InstanceData

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.cuda)]
SIZE, FRAMES, VIDEOS, N = 32, 4, 3, 4
COLLABORATIVE = dict(
    type='CollaborativeRecognizer3D', backbone=dict(SLOWONLY, base_channels=8),
    neck=dict(type='CollaborativeMemory', in_channels=64, zero_init=False),
    data_preprocessor=MODEL['data_preprocessor'],
    cls_head=dict(type='I3DHead', num_classes=3, in_channels=64,
                  dropout_ratio=0., average_clips='prob'))
CONFIGS = dict(recognizer=MODEL, collaborative=COLLABORATIVE,
               multi_iteration={**COLLABORATIVE, 'mode': 'multi_iteration'},
               detector=DETECTOR)


@pytest.fixture(autouse=True)
def exact():
    # As it is by default for matrix products.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def build(kind, device='cpu', **options):
    if kind.startswith('detector'):
        pytest.importorskip('mmdet')
    cfg = ConfigDict(copy.deepcopy(CONFIGS[kind.split('_without')[0]]))
    cfg.update(options)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    # A class token of zeros would have gradients beyond float16.
    model.init_weights()
    return model.to(device)


def batch(kind, position, videos=VIDEOS, size=SIZE):
    """uint8 clips and their samples, as a data loader gives them."""
    gen = torch.Generator().manual_seed(position)
    shape = [3, FRAMES, size, size]
    if not kind.startswith('detector'):
        shape.insert(0, 1 if kind == 'recognizer' else N)
    inputs, samples = [], []
    for i in range(videos):
        inputs.append(torch.randint(256, shape, generator=gen).to(torch.uint8))
        sample = ActionDataSample(metainfo=dict(
                                      video_id=f'v{i}', timestamp=position,
                                      img_key=f'v{i}', img_shape=(size, size)))
        samples.append(sample.set_gt_label((i + position) % 3))
        if kind.startswith('detector'):
            num = 0 if kind.endswith('boxes') else (i + position) % 3
            boxes = make_boxes(num, gen, (size, size))
            labels = torch.zeros(num, NUM_CLASSES)
            labels[:, 1 + i] = 1
            sample.proposals = InstanceData(bboxes=boxes)
            sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return dict(inputs=inputs, data_samples=samples)


def scores_of(results):
    return torch.cat([
        (x.pred_instances.scores if 'pred_instances' in x else
         x.pred_score[None]) for x in results])


@pytest.mark.parametrize('kind', [*CONFIGS, 'detector_without_boxes'])
@pytest.mark.parametrize('device, dtype', [
    ('cpu', 'bfloat16'),
    pytest.param('cuda', 'bfloat16', marks=pytest.mark.cuda),
    pytest.param('cuda', 'float16', marks=pytest.mark.cuda),
])
def test_mixed_precision_trains(kind, device, dtype, monkeypatch):
    if device == 'cpu':
        # The wrapper asks for an accelerator, which bfloat16 does not need.
        monkeypatch.setattr(
            'mmengine.optim.optimizer.amp_optimizer_wrapper.'
            'is_cuda_available', lambda: True)
    model = build(kind, device).train()
    exact = copy.deepcopy(model)
    weights = copy.deepcopy(dict(model.named_parameters()))
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.AdamW(model.parameters(), 1e-3), dtype=dtype,
        loss_scale='dynamic' if dtype == 'float16' else 1.)
    losses = []
    # oneDNN's bfloat16 convolutions may read what was never written.
    with torch.backends.mkldnn.flags(enabled=False):
        for position in range(8 if device == 'cuda' else 2):
            out = model.train_step(batch(kind, position), wrapper)
            losses.append(out['loss'].item())
    assert torch.isfinite(torch.tensor(losses)).all()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    data = exact.data_preprocessor(batch(kind, 0), True)
    first, _ = exact.parse_losses(exact(**data, mode='loss'))
    assert losses[0] == pytest.approx(first.item(), rel=0.05, abs=1e-3)
    moved = [k for k, p in model.named_parameters()
             if not torch.equal(p, weights[k])]
    # Without boxes there is nothing to learn, and nothing to break.
    if kind != 'detector_without_boxes':
        assert len(moved) > 0.7 * len(weights)


@pytest.mark.parametrize('kind', ['recognizer', 'detector'])
@pytest.mark.parametrize('device', DEVICES)
def test_a_long_stream_is_flat_and_finite(kind, device):
    cuda = device == 'cuda'
    model = build(kind, device).eval()
    held = []
    for position in range(300 if cuda else 6):
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            results = model.test_step(batch(kind, position, videos=2))
        assert torch.isfinite(scores_of(results)).all()
        del results
        gc.collect()
        # Tensors alone: what other tests traced may still be about.
        held.append(torch.cuda.memory_allocated() if cuda else sum(
            x.nbytes for x in gc.get_objects() if type(x) is torch.Tensor))
    # From when the memory is full; boxes come and go.
    spread = 2**20 if cuda else 0
    assert max(held[4:]) - min(held[4:]) <= spread
    assert min(held) > 0


@pytest.mark.cuda
@pytest.mark.parametrize('kind', ['recognizer', 'collaborative', 'detector'])
def test_a_gpu_gives_the_scores_of_a_cpu(kind):
    here, there = build(kind).eval(), build(kind, 'cuda').eval()
    for position in range(4):
        with torch.no_grad():
            expected = scores_of(here.test_step(batch(kind, position)))
            found = scores_of(there.test_step(batch(kind, position))).cpu()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def stream_of(backbone, call, device, train):
    """Features of a stream of clips, and the gradients of their sum."""
    gen = torch.Generator().manual_seed(0)
    backbone.train(train)
    backbone.zero_grad(set_to_none=True)
    memory, found = backbone.init_memory(2, (SIZE, SIZE)), []
    for _ in range(4):
        x = torch.randn(2, 3, FRAMES, SIZE, SIZE, generator=gen).to(device)
        with torch.set_grad_enabled(train):
            feats, memory = call(x, memory)
        memory = memory.detach()
        cls = feats[-1][1]
        if train:
            cls.square().sum().backward()
        found.append(cls.detach())
    grads = [p.grad.flatten() for p in backbone.parameters()
             if p.grad is not None]
    return torch.cat(found), torch.cat(grads) if train else None


@compiles
@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize('device, backend', [
    ('cpu', 'aot_eager'),
    pytest.param('cuda', 'inductor', marks=pytest.mark.cuda)])
def test_compiled_is_eager(device, backend, train):
    backbone = build('recognizer', device).backbone
    expected = stream_of(backbone, backbone, device, train)
    torch._dynamo.reset()
    compiled = torch.compile(backbone, fullgraph=True, backend=backend)
    found = stream_of(backbone, compiled, device, train)
    for one, other in zip(found, expected):
        if one is not None:
            error = (one - other).norm() / other.norm()
            assert error < 1e-4
