# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch
from helpers.boxes import (
    DETECTOR,
    NUM_CLASSES,
    SLOWFAST,
    build_detector,
    make_clip,
    run_batch,
)
from mmaction.registry import MODELS
from mmengine.config import ConfigDict

pytest.importorskip('mmdet')


def watch(model, steps):
    """Scores of each step's clips, by video."""
    model.eval()
    seen = {}
    with torch.no_grad():
        for step in steps:
            for sample in run_batch(model, *step):
                seen[sample.video_id,
                     sample.timestamp] = sample.pred_instances.scores
    return seen


def stream(video, steps, num_boxes=(2, 0, 3, 1), **kwargs):
    return [
        dict(video=video, position=i, num_boxes=num_boxes[i % len(num_boxes)],
             **kwargs) for i in range(steps)]


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], atol=1e-5, rtol=0)


def test_scores_do_not_depend_on_the_batch():
    a, b = stream('a', 5), stream('b', 5, (7, 1, 0, 12))
    alone = {**watch(build_detector(), [[x] for x in a]),
             **watch(build_detector(), [[x] for x in b])}
    # b has more boxes than slots (8), which widens all lanes.
    together = watch(build_detector(), list(zip(a, b)))
    assert_same(alone, together)
    # Lanes that change places, and one that starts later.
    shifted = [[a[0]], [b[0], a[1]], [a[2], b[1]], [b[2], a[3]], [b[3], a[4]],
               [b[4]]]
    assert_same(alone, watch(build_detector(), shifted))


def test_neither_slots_nor_the_order_of_boxes_matter():
    steps = stream('a', 4, (3, 5))
    base = watch(build_detector(), [[x] for x in steps])
    for num_slots in (1, 5, 100):
        assert_same(base,
                    watch(build_detector(roi_head=dict(num_slots=num_slots)),
                          [[x] for x in steps]))

    model = build_detector().eval()
    for x in steps:
        clip, sample = make_clip(**x)
        order = torch.randperm(
            x['num_boxes'], generator=torch.Generator().manual_seed(1))
        sample.proposals = sample.proposals[order]
        with torch.no_grad():
            out, = model(clip[None], [sample], mode='predict')
        torch.testing.assert_close(out.pred_instances.scores,
                                   base['a', x['position']][order], atol=1e-5,
                                   rtol=0)


def test_batches_of_different_frame_sizes():
    a = stream('a', 4, size=(32, 40))
    b = stream('b', 4, size=(32, 57))
    c = stream('c', 4, size=(32, 40))
    alone = {}
    for x in (a, b, c):
        alone.update(watch(build_detector(), [[y] for y in x]))
    model = build_detector()
    assert_same(alone, watch(model, list(zip(a, b, c))))
    # Three sizes, or more, must not drive streams out of the bank.
    assert model.banks['predict'].num_continued == 9


def test_memory_of_backbone_and_of_boxes_count():
    steps = [[x] for x in stream('a', 4, (2, ))]
    last = 'a', 3
    both = watch(build_detector(), steps)[last]
    no_boxes = watch(build_detector(roi_head=dict(mem_len=0)), steps)[last]
    alone = watch(build_detector(), steps[-1:])[last]
    assert (both - no_boxes).abs().max() > 1e-3
    assert (both - alone).abs().max() > 1e-3
    # What the boxes of a clip were is seen by the next clip, through the box
    # memory alone.
    other = copy.deepcopy(steps)
    other[2][0]['num_boxes'] = 5
    changed = watch(build_detector(), other)[last]
    assert (both - changed).abs().max() > 1e-3
    same = watch(build_detector(roi_head=dict(mem_len=0)), other)[last]
    torch.testing.assert_close(no_boxes, same, atol=1e-5, rtol=0)


def test_a_gap_of_two_looks_at_every_other_clip():
    head = dict(mem_len=1, mem_stride=2)
    backbone = dict(mem_len=1, mem_stride=2)
    steps = [[x] for x in stream('a', 4, (2, ))]

    def last(changed):
        other = copy.deepcopy(steps)
        other[changed][0]['num_boxes'] = 4
        return watch(
            build_detector(backbone=backbone, roi_head=head), other)['a', 3]

    base = watch(
        build_detector(backbone=backbone, roi_head=head), steps)['a', 3]
    assert (last(1) - base).abs().max() > 1e-3
    for other in (0, 2):
        torch.testing.assert_close(last(other), base, atol=1e-5, rtol=0)


@pytest.mark.parametrize('num_boxes,num_gt', [(0, 0), (1, 0), (0, 1), (100, 3),
                                              (150, 2)])
def test_any_number_of_boxes_trains_and_tests(num_boxes, num_gt):
    model = build_detector().train()
    for position in range(3):
        losses = run_batch(model,
                           dict(video='a', position=position,
                                num_boxes=num_boxes, num_gt=num_gt),
                           mode='loss')
        loss, logs = model.parse_losses(losses)
        assert torch.isfinite(loss)
        assert (loss > 0) == (num_boxes + num_gt > 0)
        assert ('recall@top3' in logs) == (num_gt > 0)
        loss.backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and param.grad.isfinite().all(), name
    scores = watch(model, [[dict(video='b', position=0, num_boxes=num_boxes)]])
    assert scores['b', 0].shape == (num_boxes, NUM_CLASSES)
    assert scores['b', 0].isfinite().all()


def test_autocast_runs_the_head_in_float32():
    model = build_detector()
    steps = [[x] for x in stream('a', 3)]
    base = watch(build_detector(), steps)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low = watch(model, steps)
    for key, scores in low.items():
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores, base[key], atol=0.1, rtol=0)


def test_a_plain_detector_has_no_memory_and_no_bank():
    model = build_detector(
        backbone=dict(mem_len=0), roi_head=dict(box_block=None))
    assert not model.with_memory
    steps = [[x] for x in stream('a', 2)]
    scores = watch(model, steps)
    assert_same(scores, watch(model, steps[::-1]))
    assert not len(model.banks['predict'])


def test_stock_backbone_with_pathways():
    cfg = ConfigDict(copy.deepcopy(DETECTOR))
    cfg.backbone = SLOWFAST
    cfg.roi_head.box_block.dims = cfg.roi_head.bbox_head.in_channels = 80
    cfg.roi_head.bbox_roi_extractor.featmap_stride = 16
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    # The box memory alone remembers.
    assert model.with_memory
    steps = [[x] for x in stream('a', 3, (2, ))]
    last = watch(model, steps)['a', 2]
    model.banks['predict'].clear()
    alone = watch(model, steps[2:])['a', 2]
    assert (last - alone).abs().max() > 1e-5


def test_errors_say_what_to_do():
    cfg = ConfigDict(copy.deepcopy(DETECTOR))
    extractor = cfg['roi_head']['bbox_roi_extractor']
    cfg['roi_head'] = dict(type='AVARoIHead', bbox_roi_extractor=extractor,
                           bbox_head=dict(
                               type='BBoxHeadAVA', background_class=True,
                               in_channels=32, num_classes=NUM_CLASSES))
    with pytest.raises(TypeError, match='MeMViTRoIHead.*AVARoIHead'):
        MODELS.build(cfg)
    model = build_detector().eval()
    clip, sample = make_clip('a', 0)
    del sample.proposals
    with pytest.raises(KeyError, match='a,0000.*proposal_file'):
        model(clip[None], [sample], mode='predict')
    clip, sample = make_clip('a', 0)
    sample.set_metainfo(dict(orig_proposals=[[0, 0, 1, 1]]))
    with pytest.raises(ValueError, match='2.*1 proposals'):
        model(clip[None], [sample], mode='predict')
    model.train()
    clip, sample = make_clip('a', 0, num_gt=1)
    sample.gt_instances.labels = torch.ones(1, 9)
    with pytest.raises(ValueError, match='9.*num_classes.*6'):
        model(clip[None], [sample], mode='loss')


def test_boxes_are_reported_as_they_came():
    model = build_detector().eval()
    clip, sample = make_clip('a', 0)
    orig = torch.tensor([[.1, .2, .3, .4], [.5, .5, .9, 1.]])
    sample.set_metainfo(dict(orig_proposals=orig.numpy(), flip=True))
    with torch.no_grad():
        out, = model(clip[None], [sample], mode='predict')
    assert torch.equal(out.pred_instances.bboxes, orig)


def same_steps(model, eager, tolerance=1e-5):
    """Scores of streams, then losses and gradients of training steps."""
    steps = list(zip(stream('a', 4, num_gt=2), stream('b', 4, (7, 1, 0, 12))))
    assert_same(watch(model, steps), watch(eager, steps))
    for step in steps:
        losses = []
        for each in (model, eager):
            each.train().zero_grad()
            losses.append(
                each.parse_losses(run_batch(each, *step, mode='loss'))[0])
            losses[-1].backward()
        torch.testing.assert_close(*losses)
        for own, other in zip(model.parameters(), eager.parameters()):
            torch.testing.assert_close(own.grad, other.grad, atol=tolerance,
                                       rtol=tolerance)


def test_steps_by_replay_equal_eager_ones(plain_capture):
    same_steps(build_detector(cuda_graph=True), build_detector())
    # One of testing, forward and backward of training.
    assert len(plain_capture) == 3


@pytest.mark.cuda
def test_graphs_on_a_gpu_equal_eager():
    model = build_detector(cuda_graph=True).cuda()
    same_steps(model, build_detector().cuda(), 1e-3)
    assert len(model._graphs._graphs) == 2
