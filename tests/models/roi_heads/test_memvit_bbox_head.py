# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest
import torch

pytest.importorskip('mmdet')

from mmaction.models.roi_heads.bbox_heads import BBoxHeadAVA  # noqa: E402
from mmdet.models.task_modules.samplers import (  # noqa: E402
    SamplingResult,
)

from mmaction_memvit.models.roi_heads import MeMViTBBoxHead  # noqa: E402

NUM_CLASSES = 5


def sampled(labels: torch.Tensor, num_neg: int) -> SamplingResult:
    """Boxes of a clip: positives with ``labels``, and negatives."""

    class Assigned:
        gt_inds = torch.cat((torch.arange(1, len(labels) + 1),
                             torch.zeros(num_neg, dtype=torch.long)))

    Assigned.labels = torch.cat(
        (labels, torch.zeros(num_neg, labels.shape[1])))
    num = len(labels) + num_neg
    return SamplingResult(
        torch.arange(len(labels)), torch.arange(len(labels), num),
        torch.rand(num, 4), torch.rand(len(labels), 4), Assigned(),
        torch.zeros(num, dtype=torch.uint8))


def build(**kwargs):
    return MeMViTBBoxHead(in_channels=8, num_classes=NUM_CLASSES, **kwargs)


def case():
    """Logits, targets without the reserved class, and sampling results."""
    labels = torch.tensor([[0., 1, 0, 1, 0], [0, 0, 1, 0, 0]])
    results = [sampled(labels, 2), sampled(labels[:0], 1),
               sampled(labels[1:], 0)]
    targets = torch.zeros(6, 4)
    targets[0, [0, 2]] = 1
    targets[1, 1] = targets[5, 1] = 1
    torch.manual_seed(0)
    return torch.randn(6, 4), targets, results


def bce(logits, targets):
    p = logits.double().sigmoid()
    return -(targets * p.log() + (1 - targets) * (1 - p).log())


def loss_of(head, logits, results):
    return head.loss_and_target(logits, None,
                                results)['loss_bbox']['loss_action_cls']


def test_unlabelled_boxes_are_negatives_or_left_out():
    logits, targets, results = case()
    each = bce(logits, targets)
    assert loss_of(build(), logits, results).item() == pytest.approx(
        each.mean().item(), rel=1e-5)
    labelled = targets.sum(1) > 0
    assert loss_of(build(negatives=False), logits,
                   results).item() == pytest.approx(
                       each[labelled].mean().item(), rel=1e-5)


def test_focal_loss():
    logits, targets, results = case()
    each = bce(logits, targets)
    focal = 3 * (1 - torch.exp(-each))**2 * each
    head = build(focal_gamma=2., focal_alpha=3.)
    assert loss_of(head, logits, results).item() == pytest.approx(
        focal.mean().item(), rel=1e-5)


def test_single_label_uses_softmax():
    logits, targets, results = case()
    head = build(multilabel=False)
    labelled = targets.sum(1) > 0
    share = targets[labelled] / targets[labelled].sum(1, keepdim=True)
    wanted = -(share * logits[labelled].log_softmax(1)).sum(1).mean()
    assert loss_of(head, logits, results).item() == pytest.approx(
        wanted.item(), rel=1e-5)


def test_recall_and_precision_are_over_labelled_boxes():
    logits, _, results = case()
    logits[:] = -5
    # Box 0: one of two, and a wrong one; box 1: right; box 5: none.
    logits[0, 0] = logits[0, 1] = logits[1, 1] = 5
    logs = build().loss_and_target(logits, None, results)['loss_bbox']
    assert logs['recall@thr=0.5'].item() == pytest.approx((.5 + 1 + 0) / 3)
    assert logs['prec@thr=0.5'].item() == pytest.approx((.5 + 1 + 0) / 3,
                                                        rel=1e-5)
    assert 'recall@top3' in logs and 'recall@top5' not in logs
    empty = [sampled(torch.zeros(0, NUM_CLASSES), 2)]
    logs = build().loss_and_target(logits[:2], None, empty)['loss_bbox']
    assert list(logs) == ['loss_action_cls']


@pytest.mark.parametrize('multilabel', [True, False])
def test_recall_and_precision_are_those_of_mmaction2(multilabel):
    head = build(multilabel=multilabel, topk=(1, 3))
    pred = torch.randn(9, NUM_CLASSES - 1)
    target = torch.rand_like(pred).gt(0.6).float()
    target[:, 0] = 1
    torch.testing.assert_close(
        head.topk_accuracy(pred, target),
        BBoxHeadAVA.topk_accuracy(head, pred, target))


@pytest.mark.parametrize('kind,shape', [('max', (3, 8, 2, 7, 7)),
                                        ('avg', (0, 8, 1, 7, 7))])
def test_pooling(kind, shape):
    x = torch.rand(shape)
    pooled = build(spatial_pool_type=kind).pool(x)
    wanted = x.mean(2).flatten(2)
    wanted = wanted.max(2)[0] if kind == 'max' else wanted.mean(2)
    torch.testing.assert_close(pooled, wanted)


def test_scores_of_a_flipped_and_cropped_image():
    head = build().eval()
    roi = torch.tensor([[0., 8., 4., 16., 20.]])
    meta = dict(img_shape=(32, 32), flip=True)
    result = head._predict_by_feat_single(roi, torch.zeros(1, 4), meta)
    # MMAction2's mirror counts pixels from 0 to width - 1.
    torch.testing.assert_close(
        result.bboxes * 32, torch.tensor([[15., 4., 23., 20.]]))
    assert result.scores.tolist() == [[0., .5, .5, .5, .5]]
    assert roi[0, 1] == 8


def test_one_class_is_no_class():
    with pytest.raises(ValueError, match='num_classes.*1.*2'):
        MeMViTBBoxHead(num_classes=1)
