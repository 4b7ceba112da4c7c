# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from helpers.boxes import build_detector, make_boxes
from helpers.operators import Operators
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmaction_memvit.ops import roi_align

pytest.importorskip('mmdet')


def head(**kwargs):
    return build_detector(roi_head=kwargs).roi_head.eval()


def run(module, steps, memory=None):
    """Logits of each step; ``steps`` are numbers of boxes of each lane."""
    out = []
    for t, counts in enumerate(steps):
        gen = torch.Generator().manual_seed(t)
        feats = torch.randn(len(counts), 32, 2, 4, 4, generator=gen)
        boxes = [make_boxes(n, gen) for n in counts]
        logits, memory = module.score_boxes(feats, boxes, memory)
        out.append(logits)
    return out, memory


def test_the_module_changes_nothing_in_place():
    module = head()
    memory = module.init_memory(2)
    before = [x.clone() for x in memory.layers[0]]
    _, after = run(module, [(2, 1)], memory)
    assert all(torch.equal(a, b) for a, b in zip(before, memory.layers[0]))
    assert memory.filled is after.filled is None
    assert after.slots[0].sum(1).tolist() == [2, 1]
    assert after.layers[0][1] is memory.layers[0][0]
    # Its graph reaches the memory: the bank is what cuts it.
    assert after.layers[0][0].requires_grad
    # Empty slots hold nothing.
    assert not after.layers[0][0][~after.slots[0]].any()


def test_an_empty_memory_is_no_memory():
    module = head()
    (alone, ), _ = run(module, [(3, 0)])
    (empty, ), _ = run(module, [(3, 0)], module.init_memory(2))
    torch.testing.assert_close(alone, empty)


def test_zero_mode_attends_to_what_exclude_hides():
    steps = [(2, 1), (1, 2)]
    scores = {}
    for mode in ('exclude', 'zero'):
        for slots in (4, 8):
            module = head(mem_mask=mode, num_slots=slots)
            scores[mode, slots] = run(module, steps,
                                      module.init_memory(2))[0][-1]
    torch.testing.assert_close(scores['exclude', 4], scores['exclude', 8])
    # In the reference's mode the number of empty slots shows.
    assert (scores['zero', 4] - scores['zero', 8]).abs().max() > 1e-3
    assert (scores['zero', 8] - scores['exclude', 8]).abs().max() > 1e-3


def test_boxes_of_one_clip_see_each_other():
    module = head()
    feats = torch.randn(1, 32, 2, 4, 4)
    boxes = make_boxes(3, torch.Generator().manual_seed(0))
    both, _ = module.score_boxes(feats, [boxes])
    single, _ = module.score_boxes(feats, [boxes[:1]])
    assert (both[:1] - single).abs().max() > 1e-3
    plain = head(box_block=None)
    both, _ = plain.score_boxes(feats, [boxes])
    single, _ = plain.score_boxes(feats, [boxes[:1]])
    torch.testing.assert_close(both[:1], single)


@pytest.mark.parametrize('kwargs,match', [
    (dict(mem_len=-1), 'mem_len.*-1.*0'),
    (dict(mem_stride=0), 'mem_stride.*0'),
    (dict(num_slots=0), 'num_slots.*0'),
    (dict(num_box_blocks=0), 'num_box_blocks.*0'),
    (dict(mem_mask='drop'), "mem_mask='drop'"),
    (dict(box_block=dict(dims=32, num_heads=5)), 'num_heads.*5.*32'),
])
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        head(**kwargs)


def test_two_box_blocks_remember_apart():
    module = head(num_box_blocks=2)
    _, memory = run(module, [(2, ), (1, )], module.init_memory(1))
    assert len(memory.layers) == 2
    assert not torch.equal(memory.layers[0][0], memory.layers[1][0])


def test_the_extractor_always_has_a_box(monkeypatch):
    """RoIAlign on CUDA stops at none; a (zero) gradient is left for DDP."""
    module, seen = head(), []
    extract = module.bbox_roi_extractor.forward

    def spy(feats, rois):
        seen.append(len(rois))
        return extract(feats, rois)

    monkeypatch.setattr(module.bbox_roi_extractor, 'forward', spy)
    feats = torch.randn(2, 32, 2, 4, 4, requires_grad=True)
    none = [torch.zeros(0, 4)] * 2
    logits, memory = module.score_boxes(feats, none, module.init_memory(2))
    assert logits.shape[0] == 0 and seen == [1]
    assert not any(x.any() for x in memory.slots)
    logits.sum().backward()
    assert feats.grad is not None and not feats.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_hidden_boxes_stay_finite_in_any_kernel(dtype, monkeypatch):
    """Fused kernels multiply what is added to scores by log2(e)."""
    from mmaction_memvit.models.layers import box_block
    masks = []

    def attention(q, k, v, attn_mask, dropout_p):
        masks.append(attn_mask)
        return q

    monkeypatch.setattr(box_block.F, 'scaled_dot_product_attention', attention)
    module = box_block.BoxAttention(8, 2, 0., 0., 0.)
    for name in ('q', 'k', 'v', 'proj'):
        # torch 2.1 has no linear layers in half precision on CPUs.
        setattr(module, name, torch.nn.Identity())
    x = torch.zeros(1, 3, 8, dtype=dtype)
    module(x, x, torch.zeros(1, 3, dtype=torch.bool))
    mask, = masks
    assert (mask * 1.4427).isfinite().all()
    assert not mask[0, 0, 0].exp().any()


@pytest.mark.parametrize('multilabel', [True, False])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_results_of_models_in_half_precision(dtype, multilabel):
    module = head()
    module.bbox_head.multilabel = multilabel
    logits = torch.randn(3, 5)
    samples = [ActionDataSample(metainfo=dict(img_shape=(32, 32)))]
    both = [module.results(x, [make_boxes(3, torch.Generator())], samples)
            for x in (logits.to(dtype), logits)]
    own, other = [x.scores.numpy() for x, in both]
    assert abs(own - other).max() < 0.01


def test_more_clips_take_no_more_operators(monkeypatch):
    """But for sampling of boxes, which a GPU has no part in."""
    module = head().train()
    # On a GPU, small maps are not gathered.
    monkeypatch.setattr(roi_align, 'gathering_pays', lambda *args: False)

    def count(batch):
        gts = [InstanceData(bboxes=make_boxes(2, torch.Generator()),
                            labels=torch.eye(6)[:2]) for _ in range(batch)]
        samples = [ActionDataSample(gt_instances=gt) for gt in gts]
        with monkeypatch.context() as patch:
            results = module.sample_boxes(samples)
            patch.setattr(module, 'sample_boxes', lambda _: results)
            feats = torch.randn(batch, 32, 2, 4, 4, requires_grad=True)
            memory = module.init_memory(batch)
            module.zero_grad()
            with Operators() as ops:
                losses = module.loss_of_boxes(
                    samples, lambda boxes: module.score_boxes(
                        feats, boxes, memory)[0])
                losses['loss_action_cls'].backward()
        # On the host the samplers' boxes are put together, clip by clip.
        ops.counts['cat'] -= batch
        return ops.counts

    few, many = count(2), count(6)
    # 146, and 166 where torch has no fused attention with a mask.
    assert few == many and sum(many.values()) <= 170, sum(many.values())
