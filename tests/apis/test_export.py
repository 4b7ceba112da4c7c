# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Exported steps give what the models give, over 10 clips with a reset."""
import copy

import pytest
import torch
from helpers.boxes import (
    NUM_CLASSES,
    STREAM_ROI_HEAD,
    build_detector,
    make_boxes,
)
from helpers.runs import CLIP_LEN, MODEL
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmaction_memvit.apis.export import export_steps

pytestmark = pytest.mark.skipif(not hasattr(torch.compiler, 'is_exporting'),
                                reason='torch tells of an export since 2.7')
ZERO_MASK = dict(mem_len=2, mem_stride=2, mem_mask='zero')
TOKEN_HEAD = dict(type='FrameLevelHead', in_channels=32)
HEADS = dict(
    clip=MODEL['cls_head'], logits=dict(MODEL['cls_head'], average_clips=None),
    tokens=dict(TOKEN_HEAD, num_classes=3),
    tasks=dict(type='MultiTaskHead', num_classes=dict(verb=3, noun=4),
               head=TOKEN_HEAD))
XVIT = dict(
    type='XViT', arch=dict(embed_dims=32, num_layers=2, num_heads=2),
    patch_size=8, spatial_size=32, stream=True,
    init_cfg=dict(
        type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.3, bias=0.))
# Of each step, which of three streams start anew.
RESETS = [(True, True, True), *[(False, ) * 3] * 3, (False, True, False),
          *[(False, ) * 3] * 2, (True, False, True), *[(False, ) * 3] * 2]


def recognizer(head='clip', **backbone):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    cfg = copy.deepcopy(dict(MODEL, cls_head=HEADS[head]))
    if 'type' in backbone:
        cfg['backbone'] = backbone
    else:
        cfg['backbone'].update(backbone)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.eval()


def clip_batches(lanes):
    """Clips, which lanes start anew, and what the bank knows of them."""
    gen = torch.Generator().manual_seed(5)
    videos = list(range(lanes))
    for step, resets in enumerate(RESETS):
        resets = torch.tensor(resets[:lanes])
        videos = [v + 10 * bool(r) for v, r in zip(videos, resets)]
        clips = torch.randint(
            256, (lanes, 3, CLIP_LEN, 32, 32), generator=gen).byte()
        samples = [ActionDataSample(metainfo=dict(
            video_id=v, timestamp=step, img_shape=(32, 32))) for v in videos]
        yield clips, resets, samples


def eager_module(program):
    module = program.program.module()
    return lambda *args: list(module(*args))


def onnx_session(path):
    """What runs a program in ONNX Runtime."""

    def load(program):
        pytest.importorskip('onnx')
        pytest.importorskip('onnxscript')
        runtime = pytest.importorskip('onnxruntime')
        program.save_onnx(str(path / 'step.onnx'))
        session = runtime.InferenceSession(str(path / 'step.onnx'))
        assert [x.name for x in session.get_outputs()] == program.outputs
        known = {x.name for x in session.get_inputs()}

        def run(*args):
            feed = {name: x.numpy()
                    for name, x in zip(program.inputs, args) if name in known}
            return [torch.from_numpy(x) for x in session.run(None, feed)]

        return run

    return load


def loader(kind, path):
    """Makes a program a function of tensors."""
    return dict(torch=eager_module, onnx=onnx_session(path))[kind]


def lanes_of(program, lanes):
    """Memory before the first clip, of so many lanes."""
    return [x[:1].expand(lanes, *x.shape[1:]) for x in program.start()]


def assert_plain(program):
    """Whoever loads it needs no operators of ours."""
    for node in program.program.graph.nodes:
        if node.op == 'call_function':
            assert getattr(node.target, 'namespace', 'aten') == 'aten', node


@pytest.mark.parametrize('kind, head, backbone', [
    ('torch', 'clip', {}), ('torch', 'logits', dict(mem_len=0)),
    ('torch', 'tokens', dict(causal=True)), ('onnx', 'tasks', ZERO_MASK),
    ('torch', 'tasks', ZERO_MASK), ('onnx', 'clip', XVIT),
    ('torch', 'clip', dict(XVIT, look_ahead=False))])
def test_recognizer(kind, head, backbone, tmp_path):
    model = recognizer(head, **backbone)
    program = export_steps(model, (CLIP_LEN, 32, 32))['step']
    assert_plain(program)
    tasks = [x for x in program.outputs if x.startswith('scores')]
    assert tasks == (['scores_verb', 'scores_noun']
                     if head == 'tasks' else ['scores'])
    assert ('in', 'clip', 'uint8', '(B, 3, 4, 32, 32)') in program.describe()
    run, memory = loader(kind, tmp_path)(program), lanes_of(program, 3)
    assert bool(memory) == (backbone.get('mem_len') != 0)
    seen = []
    for clips, resets, samples in clip_batches(3):
        with torch.no_grad():
            found = model.test_step(
                dict(inputs=list(clips[:, None]), data_samples=samples))
        *scores, = run(clips, resets, *memory)
        memory = scores[len(tasks):]
        for task, own in zip(tasks, scores):
            expected = [x.pred_score for x in found]
            if head == 'tasks':
                expected = [x[task[7:]] for x in expected]
            torch.testing.assert_close(
                own, torch.stack(expected).view_as(own), atol=1e-4, rtol=0)
            seen.append(own)
    assert torch.stack(seen[::len(tasks)]).std(0).max() > 1e-2


@pytest.mark.parametrize('kind, roi_head', [
    ('torch', {}), ('onnx', dict(mem_stride=2)),
    ('torch', dict(mem_stride=2, mem_mask='zero')),
    ('torch', dict(box_block=None)),
    ('torch', dict(STREAM_ROI_HEAD, num_slots=8))])
def test_detector(kind, roi_head, tmp_path):
    pytest.importorskip('mmdet')
    model = build_detector(roi_head=roi_head).eval()
    programs = export_steps(model, (CLIP_LEN, 32, 32), batch_size=2)
    parts = [programs[x] for x in ('backbone', 'head')]
    for part in parts:
        assert_plain(part)
    backbone, head = map(loader(kind, tmp_path), parts)
    memory, of_boxes = (part.start() for part in parts)
    gen = torch.Generator().manual_seed(6)
    for step, (clips, resets, samples) in enumerate(clip_batches(2)):
        # Up to all slots, and none.
        nums = (step % 9, 3)
        boxes = torch.zeros(2, 8, 4)
        is_box = torch.zeros(2, 8, dtype=torch.bool)
        for lane, (sample, num) in enumerate(zip(samples, nums)):
            own = make_boxes(num, gen)
            boxes[lane, :num], is_box[lane, :num] = own, True
            sample.proposals = InstanceData(bboxes=own)
        with torch.no_grad():
            found = model.test_step(
                dict(inputs=list(clips), data_samples=samples))
        feats, *memory = backbone(clips, resets, *memory)
        scores, *of_boxes = head(feats, boxes, is_box, resets, *of_boxes)
        assert scores.shape == (2, 8, NUM_CLASSES)
        for own, sample, num in zip(scores, found, nums):
            torch.testing.assert_close(
                own[:num], sample.pred_instances.scores, atol=1e-4, rtol=0)


def test_what_cannot_be_exported_is_told():
    with pytest.raises(ValueError, match='Linear'):
        export_steps(torch.nn.Linear(1, 1), (4, 32, 32))
