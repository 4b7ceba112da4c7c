# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import mmaction_memvit  # noqa: F401  # isort: skip

import pytest
import torch
from helpers import models
from helpers.boxes import DETECTOR, NUM_CLASSES, SLOWFAST, make_clip
from mmaction.registry import MODELS
from mmengine.config import ConfigDict

from mmaction_memvit.memory import WindowDataSample

pytest.importorskip('mmdet')
B, N = 2, 3
SIZE = 48, 48
SLOWONLY = dict(models.SLOWONLY, type='mmaction.ResNet3dSlowOnly',
                spatial_strides=(1, 2, 2, 1))


def build(backbone=SLOWONLY, channels=32, memory=True,
          kind='CollaborativeFastRCNN', **kwargs):
    """The detector; ``memory`` as True, False or its ``in_channels``."""
    cfg = copy.deepcopy(DETECTOR)
    cfg.update(type=kind, backbone=backbone, **kwargs)
    if memory:
        cfg['neck'] = dict(type='mmaction.CollaborativeMemory',
                           in_channels=channels if memory is True else memory,
                           zero_init=False)
    cfg['roi_head'].update(box_block=None)
    cfg['roi_head']['bbox_roi_extractor'].update(
        featmap_stride=16, output_size=3)
    total = channels if isinstance(channels, int) else sum(channels)
    cfg['roi_head']['bbox_head'].update(
        in_channels=total, mlp_head=True, focal_gamma=2.)
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(cfg))
    for name, param in model.named_parameters():
        # Strong weights: what is remembered must show in the scores.
        if name.startswith('neck'):
            param.data = 0.5 * torch.randn_like(param)
        if name.startswith('roi_head'):
            param.data = 0.1 * torch.randn_like(param)
    return model.double()


def window(video, scored=None, windows=None, num=N, boxes=None, gt=1):
    """Clips (num, 3, T, H, W) of a video, and their samples."""
    counts = boxes or [1 + i % 3 for i in range(num)]
    clips, samples = zip(*(make_clip(
        video, i, counts[i], gt if isinstance(gt, int) else gt[i], SIZE)
                           for i in range(num)))
    for x in samples:
        x.proposals.bboxes = x.proposals.bboxes.double()
        x.gt_instances.bboxes = x.gt_instances.bboxes.double()
        x.gt_instances.labels = x.gt_instances.labels.double()
    if windows is None:
        scored, windows = [num // 2], [list(range(num))]
    sample = WindowDataSample.of(samples, torch.tensor(scored),
                                 torch.tensor(windows), video_id=video,
                                 timestamp=scored[0])
    return torch.stack(clips).double(), sample


def batch(*videos, **kwargs):
    clips, samples = zip(*(window(v, **kwargs) for v in videos or 'ab'))
    return torch.stack(clips), list(samples)


def scores(model, *items):
    clips, samples = zip(*items)
    with torch.no_grad():
        out = model.eval()(list(clips), list(samples), mode='predict')
    return {(x.video_id, x.timestamp): x.pred_instances.scores for x in out}


def gradients(model, inputs, samples):
    model.zero_grad()
    losses = model(inputs, samples, mode='loss')
    losses['loss_action_cls'].backward()
    return losses, {k: p.grad for k, p in model.named_parameters()}


def by_hand(model, clips, sample):
    """Scores of keyframes, each with the sum of its window's writing."""
    found = {}
    feats = [model.backbone(x[None]) for x in clips]
    for k, row in zip(sample.scored.tolist(), sample.windows.tolist()):
        x = feats[k]
        if model.with_neck:
            parts = [model.neck.write(feats[i], 1) for i in row]
            memory = [sum(m[1:], start=m[0]) for m in zip(*parts)]
            x = model.neck.read(x, memory, 1)
        clip = sample.clips[k]
        logits, _ = model.roi_head.score_boxes(x, [clip.proposals.bboxes])
        found[clip.video_id, clip.timestamp] = logits.sigmoid()
    return found


@pytest.mark.parametrize('backbone,channels', [(SLOWONLY, 32),
                                               (SLOWFAST, (64, 16))])
@pytest.mark.parametrize('limit', [None, 2])
def test_a_keyframe_reads_the_sum_of_its_window(backbone, channels, limit):
    model = build(
        backbone, channels, test_cfg=dict(rcnn=None, max_testing_views=limit))
    items = [
        window('a', [1, 2, 3], [[0, 1, 2], [1, 2, 3], [2, 3, 4]], 5),
        # At an end, with a clip that comes twice.
        window('b', [0], [[0, 0, 1]], 2)]
    together = scores(model, *items)
    with torch.no_grad():
        expected = {**by_hand(model, *items[0]), **by_hand(model, *items[1])}
    assert list(together) == [('a', 1), ('a', 2), ('a', 3), ('b', 0)]
    for key, value in together.items():
        # Class 0 is reserved.
        torch.testing.assert_close(value[:, 1:], expected[key])
    # A keyframe alone, with its window alone, in another order.
    clips, sample = items[0]
    order = [3, 1, 2]
    alone = WindowDataSample.of([sample.clips[i] for i in order],
                                torch.tensor([2]), torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(
        scores(model, (clips[order], alone))['a', 2], together['a', 2])
    # The memory counts.
    sample.windows[1, 0] = 4
    other = scores(model, (clips, sample))
    assert (other['a', 2] - together['a', 2]).abs().max() > 1e-4
    torch.testing.assert_close(other['a', 3], together['a', 3])


def test_losses_are_those_of_the_boxes_of_all_clips():
    model = build().eval()
    inputs, samples = batch(gt=2)
    losses = model(inputs, samples, mode='loss')
    logits, results = [], []
    for clips, sample in zip(inputs, samples):
        feats = model.backbone(clips)
        memory = model.neck.write(feats, N)
        feats = model.neck.read(feats, memory, N)
        for n, clip in enumerate(sample.clips):
            result = model.roi_head.sample_boxes([clip])
            boxes = torch.cat((result[0].pos_priors, result[0].neg_priors))
            logits.append(
                model.roi_head.score_boxes(feats[n:n + 1], [boxes])[0])
            results += result
    expected = model.roi_head.bbox_head.loss_and_target(
        torch.cat(logits), None, results)['loss_bbox']
    assert losses.keys() == expected.keys()
    for key, value in losses.items():
        torch.testing.assert_close(value, expected[key])
    # 2 labelled boxes a clip, and 1, 2, 3 proposals.
    assert len(torch.cat(logits)) == B * (2 * N + 6)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('backbone,channels,memory',
                         [(SLOWONLY, 32, True),
                          (SLOWFAST, (64, 16), (None, 16))])
def test_both_modes_give_the_same(training, backbone, channels, memory):
    results = []
    for mode in ('batch', 'multi_iteration'):
        model = build(backbone, channels, memory, mode=mode).train(training)
        results.append((*gradients(model, *batch()), model.state_dict()))
    (losses, grads, state), (others, other_grads, other_state) = results
    for key, value in losses.items():
        torch.testing.assert_close(value, others[key], atol=1e-5, rtol=0)
    for key, value in grads.items():
        assert value.abs().sum() > 0 or 'conv1.conv' not in key
        torch.testing.assert_close(other_grads[key], value, msg=key)
    for key, value in state.items():
        torch.testing.assert_close(other_state[key], value, msg=key)


@pytest.mark.parametrize('boxes,gt', [([0] * N, 0), ([0, 0, 1], [0, 0, 1]),
                                      ([100, 0, 1], 0), ([0] * N, [1, 0, 0])])
@pytest.mark.parametrize('mode', ['batch', 'multi_iteration'])
def test_any_number_of_boxes(boxes, gt, mode):
    model = build(mode=mode).train()
    losses, grads = gradients(model, *batch(boxes=boxes, gt=gt))
    total = sum(boxes) + (gt if isinstance(gt, int) else sum(gt))
    assert (losses['loss_action_cls'] > 0) == (total > 0)
    for key, value in grads.items():
        assert value is not None and value.isfinite().all(), key
    # Clips without boxes learn by what they write.
    assert (grads['neck.paths.0.key.weight'].abs().sum() > 0) == (total > 0)
    for i in range(N):
        item = window('c', [i], [list(range(N))], boxes=boxes)
        assert scores(model, item)['c', i].shape == (boxes[i], NUM_CLASSES)


def test_baselines_are_the_plain_detector():
    model = build(memory=False)
    plain = build(memory=False, kind='OnlineFastRCNN')
    plain.load_state_dict(model.state_dict())
    inputs, samples = batch('a', 'b', 'c')
    clips = [x for sample in samples for x in sample.clips]
    expected = plain.eval()(inputs.flatten(0, 1), clips, mode='loss')
    losses = model.eval()(inputs, samples, mode='loss')
    torch.testing.assert_close(losses, expected)
    # A single clip, in training: groups are batches.
    inputs, samples = batch('a', 'b', 'c', num=1)
    losses = model.train()(inputs, samples, mode='loss')
    expected = plain.train()(
        inputs[:, 0], [x.clips[0] for x in samples], mode='loss')
    torch.testing.assert_close(losses, expected)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)
    # A single clip with memory works as well.
    gradients(build().train(), *batch('a', 'b', num=1))


def test_errors_say_what_to_do():
    with pytest.raises(TypeError, match='box_block=None.*OnlineFastRCNN'):
        cfg = copy.deepcopy(DETECTOR)
        cfg.update(type='CollaborativeFastRCNN', backbone=SLOWONLY)
        MODELS.build(ConfigDict(cfg))
    with pytest.raises(ValueError, match='scan'):
        build(mode='scan')
    clips, sample = window('a')
    model = build()
    with pytest.raises(ValueError, match='crop'):
        model([clips, clips[:2]], [sample, sample], mode='loss')
    with pytest.raises(ValueError, match='SyncBN'):
        model.train()(clips[None], [sample], mode='loss')
    del sample.clips[1].proposals
    with pytest.raises(KeyError, match='a,0001.*proposals'):
        scores(model, (clips, sample))
