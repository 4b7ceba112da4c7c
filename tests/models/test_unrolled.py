# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Gradients of windows of clips, which go through memory."""

import copy

import pytest
import torch
from helpers.boxes import STREAM_ROI_HEAD, build_detector, make_clip
from helpers.distributed import spawn_two
from helpers.models import MEMVIT
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.utils import digit_version
from torch import nn

from mmaction_memvit.apis.processes import leave_processes

# Lane 0 starts another video in the middle. Both have as many boxes.
WINDOW = [('a', 4), ('b', 1), ('a', 5), ('b', 2), ('c', 0), ('b', 3),
          ('c', 1), ('b', 4)]
BEFORE = [('a', 3), ('b', 0)]
LANES = 2


@MODELS.register_module()
class HiddenStateNeck(nn.Module):
    """A neck that remembers, nothing like MeMViT."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(channels, channels)

    def init_memory(self, batch_size, input_size=None, dtype=None,
                    device=None):
        like = self.cell.weight_hh
        return like.new_zeros(
            batch_size, self.cell.hidden_size, device=device or like.device)

    def forward(self, x, memory=None, elapsed=None, **kwargs):
        memory = self.cell(x[-1][0].mean((2, 3, 4)), memory)
        return memory[..., None, None, None], memory


def recognizer(backbone: dict, **kwargs):
    cfg = dict(type='OnlineRecognizer3D', backbone={**MEMVIT, **backbone},
               cls_head=dict(type='MViTHead', in_channels=32, num_classes=3,
                             dropout_ratio=0.))
    return MODELS.build({**cfg, **kwargs})


HEADS = dict(frames=dict(type='FrameLevelHead', in_channels=32, num_classes=3,
                         dropout_ratio=0.),
             pooled=dict(type='I3DHead', in_channels=32, num_classes=3,
                         dropout_ratio=0.))


def build(kind: str, **kwargs):
    """A model with weights so strong that what is remembered shows."""
    torch.manual_seed(0)
    if kind == 'boxes':
        return build_detector(**kwargs).train()
    if kind == 'boxes over time':
        return build_detector(backbone=dict(mem_len=0),
                              roi_head=STREAM_ROI_HEAD, **kwargs).train()
    if kind == 'frames':
        model = recognizer({}, cls_head=HEADS['frames'], **kwargs)
    elif kind == 'neck':
        model = recognizer(dict(mem_len=0),
                           neck=dict(type='HiddenStateNeck', channels=32),
                           cls_head=HEADS['pooled'], **kwargs)
    else:
        model = recognizer(dict(mem_mask=kind), **kwargs)
    for param in model.parameters():
        param.data += 0.2 * torch.randn_like(param)
    return model.train()


def batch(kind: str, clips: list, dtype: torch.dtype):
    """What the model gets of clips (video, position)."""
    inputs, samples = [], []
    for video, position in clips:
        if 'boxes' in kind:
            # Some slots hold no box.
            clip, sample = make_clip(
                video, position, num_boxes=1 + position % 3, num_gt=1)
            sample.gt_instances.bboxes = sample.gt_instances.bboxes.to(dtype)
            sample.proposals.bboxes = sample.proposals.bboxes.to(dtype)
        else:
            gen = torch.Generator().manual_seed(1000 * ord(video) + position)
            clip = torch.randn(1, 3, 4, 32, 32, generator=gen)
            sample = ActionDataSample(
                metainfo=dict(video_id=video, timestamp=position))
            label = (ord(video) + position) % 3
            sample.set_gt_label([label, -1] if kind == 'frames' else label)
        inputs.append(clip.to(dtype))
        samples.append(sample)
    return torch.stack(inputs), samples


def loss_of(model, kind: str, clips: list) -> torch.Tensor:
    dtype = next(model.parameters()).dtype
    losses = model(*batch(kind, clips, dtype), mode='loss')
    return sum(x for name, x in losses.items() if 'loss' in name)


def gradients(model) -> dict:
    return {name: x.grad.clone() for name, x in model.named_parameters()
            if x.grad is not None}


def grads_of(model, kind: str, clips: list = WINDOW) -> dict:
    """Of the second window of streams."""
    with torch.no_grad():
        loss_of(model, kind, BEFORE)
    model.zero_grad()
    loss_of(model, kind, clips).backward()
    return gradients(model)


KINDS = ['exclude', 'zero', 'neck', 'frames', 'boxes', 'boxes over time']


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_agree_with_finite_differences(kind):
    model = build(kind).double()
    grads = grads_of(model, kind)
    step, wrong, through_memory = 1e-7, {}, 0
    cut = build(kind, bptt_clips=1).double()
    stopped = grads_of(cut, kind)
    # What the parameters of one layer do together.
    for name, layer in model.named_modules():
        own = dict(layer.named_parameters(name, recurse=False))
        if not own:
            continue
        ways = {k: torch.randn_like(x) for k, x in own.items()}

        def move(by, own=own, ways=ways):
            for k, x in own.items():
                x.data += by * step * ways[k]

        values = []
        for sign in (1, -1):
            model.bank(False).clear()
            with torch.no_grad():
                # What the window starts from does not move with the weights.
                loss_of(model, kind, BEFORE)
                move(sign)
                values.append(loss_of(model, kind, WINDOW).item())
                move(-sign)
        expected = (values[0] - values[1]) / (2 * step)
        found, cut_short = (
            sum((x[k] * way).sum().item() for k, way in ways.items())
            for x in (grads, stopped))
        if abs(found - expected) > 1e-7 + 1e-6 * abs(expected):
            wrong[name] = found, expected
        through_memory += abs(cut_short - expected) > 1e-3 * abs(expected)
    assert not wrong
    # The gradient that stops at memory is another one.
    assert through_memory > 5


@pytest.mark.parametrize('kind', KINDS)
def test_cut_after_every_clip_it_is_that_of_single_steps(kind):
    model, single = build(kind, bptt_clips=1), build(kind)
    found = grads_of(model, kind)
    with torch.no_grad():
        loss_of(single, kind, BEFORE)
    single.zero_grad()
    steps = len(WINDOW) // LANES
    sizes = [LANES] * steps
    if 'boxes' in kind:
        # A loss is a mean over boxes.
        sizes = [sum(2 + p % 3 for _, p in WINDOW[i:i + LANES])
                 for i in range(0, len(WINDOW), LANES)]
    for i, size in enumerate(sizes):
        loss = loss_of(single, kind, WINDOW[i * LANES:(i + 1) * LANES])
        (loss * size / sum(sizes)).backward()
    torch.testing.assert_close(found, gradients(single), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
@pytest.mark.parametrize('kind, cp_of_blocks', [
    ('exclude', False), ('exclude', True), ('neck', False), ('frames', False),
    ('boxes', False)])
def test_checkpointing_changes_no_gradient(kind, cp_of_blocks, dtype):
    found = []
    for with_cp in (False, True):
        model = build(kind, with_cp=with_cp)
        if kind != 'neck':
            for block in model.backbone.blocks:
                block.drop_path = 0.3
                block.with_cp = with_cp and cp_of_blocks
        torch.manual_seed(1)
        with torch.autocast('cpu', dtype, enabled=dtype is not None):
            found.append(grads_of(model, kind))
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)


def test_float16_with_a_scaler():
    """And a compiled backbone, checkpointing and clipping, all at once."""
    if not hasattr(torch.amp, 'GradScaler'):
        pytest.skip('this torch scales no losses on a CPU')
    # torch 2.4 compiles no checkpoints of functions with a gradient.
    model = build('exclude', with_cp=digit_version(torch.__version__)
                  >= digit_version('2.5'))
    model.backbone.compile(fullgraph=True, backend='eager')
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler(
        'cpu', init_scale=2.**60, backoff_factor=2.**-50)
    # The gradients of the first step overflow.
    for moves in (False, True):
        before = copy.deepcopy(model.state_dict())
        optimizer.zero_grad()
        with torch.autocast('cpu', torch.float16):
            loss = loss_of(model, 'exclude', WINDOW)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        found = gradients(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.)
        scaler.step(optimizer)
        scaler.update()
        assert moves == any(not torch.equal(x, before[name])
                            for name, x in model.state_dict().items())
    assert not model.bank(False).num_not_finite
    exact = build('exclude')
    loss_of(exact, 'exclude', WINDOW).backward()
    found, expected = (torch.cat([x.flatten() for x in grads.values()])
                       for grads in (found, gradients(exact)))
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_a_window_that_is_not_finite_does_not_poison():
    model, other = build('exclude'), build('exclude')
    inputs, samples = batch('exclude', WINDOW, torch.float32)
    # Lane 1, step 2.
    inputs[3] = float('inf')
    assert not model(inputs, samples, mode='loss')['loss_cls'].isfinite()
    after = [('c', 2), ('b', 5), ('c', 3), ('b', 6)]
    # Another model, to which lane 1 is new after that step.
    loss_of(other, 'exclude', WINDOW)
    other.bank(False).forget('b')
    late = [x for x in WINDOW if x[0] == 'b' and x[1] > 2]
    for x in late:
        loss_of(other, 'exclude', [x])
    found = grads_after(model, after)
    torch.testing.assert_close(found, grads_after(other, after))
    assert all(x.isfinite().all() for x in found.values())
    assert model.bank(False).num_not_finite == 1


def grads_after(model, clips: list) -> dict:
    model.zero_grad()
    loss_of(model, 'exclude', clips).backward()
    return gradients(model)


def test_two_processes_give_the_gradients_of_one(tmp_path):
    spawn_two(one_of_two, str(tmp_path / 'group'))
    for kind in ('exclude', 'boxes'):
        expected = grads_of(build(kind, with_cp=True), kind)
        for rank in range(2):
            torch.testing.assert_close(
                torch.load(tmp_path / f'group{kind}{rank}'), expected,
                atol=1e-6, rtol=1e-5)


def one_of_two(rank: int, path: str) -> None:
    """Train a lane of the window."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{path}', rank=rank, world_size=2)
    for kind in ('exclude', 'boxes'):
        model = build(kind, with_cp=True)
        own = [x for x in WINDOW if (x[0] == 'b') == rank]
        with torch.no_grad():
            loss_of(model, kind, BEFORE[rank:rank + 1])
        parallel = nn.parallel.DistributedDataParallel(model)
        losses = parallel(*batch(kind, own, torch.float32), mode='loss')
        sum(x for name, x in losses.items() if 'loss' in name).backward()
        torch.save(gradients(model), f'{path}{kind}{rank}')
    leave_processes()
