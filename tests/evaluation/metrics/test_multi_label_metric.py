# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmaction_memvit.evaluation.functional import evaluate_multi_label
from mmaction_memvit.evaluation.metrics import MultiLabelMAPMetric

NUM_CLASSES, NUM_VIDEOS, VIEWS = 5, 13, 6


def make_sample(video, scores, label, **meta):
    """A scored video as a recognizer hands it over."""
    sample = ActionDataSample()
    sample.set_gt_label(torch.as_tensor(label, dtype=torch.float32))
    sample.set_pred_score(torch.as_tensor(scores))
    sample.set_metainfo({'video_id': video, **meta})
    return sample


def make_dataset():
    """Videos of which some have no class; class 2 does not occur."""
    gen = torch.Generator().manual_seed(0)
    samples = []
    for i in range(NUM_VIDEOS):
        label = (torch.rand(NUM_CLASSES, generator=gen) < 0.4).float()
        label[2] = 0
        if i in (3, 8):
            label[:] = 0
        scores = 3 * torch.randn(VIEWS, NUM_CLASSES, generator=gen) + label
        samples.append(make_sample(f'v{i}', scores, label))
    return samples


def evaluate(samples, size=None, meta=None, **kwargs):
    metric = MultiLabelMAPMetric(**kwargs)
    metric.dataset_meta = meta
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples) if size is None else size)


@pytest.mark.parametrize('pooling', ['max', 'mean'])
@pytest.mark.parametrize('kind', ['logit', 'prob'])
def test_views_are_pooled(pooling, kind, log):
    samples = make_dataset()
    probs = [x.pred_score.double().sigmoid() for x in samples]
    pooled = [x.max(0).values if pooling == 'max' else x.mean(0)
              for x in probs]
    if kind == 'prob':
        for sample, prob in zip(samples, probs):
            sample.pred_score = prob
    labels = torch.stack([x.gt_label for x in samples]).numpy()
    expected = evaluate_multi_label(torch.stack(pooled).numpy(),
                                    labels).metrics()
    result = evaluate(samples, view_pooling=pooling, scores=kind)
    assert result == {f'multi_label/{k}': pytest.approx(v)
                      for k, v in expected.items()}
    assert result['multi_label/classes'] == 4
    assert len(log) == 1
    assert '13 videos, 2 of them without' in log[0][1]
    assert '4 of 5 classes' in log[0][1]


def test_scores_of_one_view():
    samples = make_dataset()
    for sample in samples:
        sample.pred_score = sample.pred_score[0]
    single = evaluate(samples)
    for sample in samples:
        sample.pred_score = sample.pred_score[None]
    assert evaluate(samples) == single
    # Logits whose sigmoid is 1 in half precision are no ties.
    labels = [[1.], [0.]]
    samples = [make_sample(f'v{i}', [60. - i], labels[i]) for i in range(2)]
    assert evaluate(samples)['multi_label/mAP'] == 1


@pytest.mark.parametrize('average, words', [
    ('prob', 'softmax.*average_clips=None'),
    ('score', '10 clips.*head has averaged.*average_clips=None'),
    (None, None),
])
def test_what_stock_heads_hand_over(average, words):
    head = MODELS.build(dict(
        type='mmaction.SlowFastHead', num_classes=NUM_CLASSES, in_channels=8,
        multi_class=True, loss_cls=dict(type='mmaction.BCELossWithLogits'),
        average_clips=average))
    head.eval()
    samples = make_dataset()
    gen = torch.Generator().manual_seed(1)
    for sample in samples:
        del sample.pred_score
        # As PackActionInputs and set_pred_score do.
        sample.pop('num_classes')
        sample.set_metainfo(dict(num_clips=10, clip_len=64))
    if average == 'prob':
        # Its softmax is seen without what the metainfo tells.
        for sample in samples:
            sample.pop('clip_len')
    feats = tuple(torch.rand(30 * NUM_VIDEOS, c, 1, 1, 1, generator=gen)
                  for c in (4, 4))
    samples = head.predict(feats, samples)
    if words is None:
        assert samples[0].pred_score.shape == (30, NUM_CLASSES)
        assert 0 < evaluate(samples)['multi_label/mAP'] < 1
        return
    assert samples[0].pred_score.shape == (NUM_CLASSES, )
    with pytest.raises(ValueError, match=words):
        evaluate(samples)
    # Not only after hours of testing, nor for want of many videos.
    with pytest.raises(ValueError, match=words):
        MultiLabelMAPMetric().process(None, [x.to_dict() for x in samples[:8]])
    with pytest.raises(ValueError, match=words):
        evaluate(samples[:2])


def test_names_of_classes(tmp_path, log):
    path = tmp_path / 'classes.txt'
    lines = [f'c00{i} Doing {i}' for i in range(5)]
    path.write_text('\n'.join(lines) + '\n\n')
    evaluate(make_dataset(), class_names=str(path))
    assert '3  Doing 3 ' in log[-1][1] and 'c003' not in log[-1][1]
    with pytest.raises(ValueError, match='class_names has 1 .*5 classes'):
        evaluate(make_dataset(), class_names=['one'])
    # Before all videos are scored.
    path.write_text('\n'.join(lines[:4]))
    metric = MultiLabelMAPMetric(class_names=str(path))
    with pytest.raises(
            ValueError,
            match=r"classes.txt' has 4 names.*5 classes.*Charades.zip.*=None"):
        metric.process(None, [make_dataset()[0].to_dict()])
    path.unlink()
    with pytest.raises(
            FileNotFoundError, match=r"s.txt'.*Charades.zip.*ass_names=None"):
        MultiLabelMAPMetric(class_names=str(path))


def test_scores_that_are_not_finite(log):
    samples = make_dataset()
    samples[1].pred_score[2, 3] = float('nan')
    result = evaluate(samples)
    assert 'v1' in log[0][1] and '1 of 13' in log[0][1]
    for sample in samples[1:2]:
        sample.pred_score = torch.full((VIEWS, NUM_CLASSES), -100.)
    assert evaluate(samples) == result


# Errors


@pytest.mark.parametrize('change, words', [
    (dict(video_id=None), 'without `video_id`.*meta_keys'),
    (dict(pred_score=torch.zeros(2, 3, 5)), r'views.*num_classes.*\[2, 3, 5'),
    (dict(gt_label=torch.tensor([2])), r"'v'.*\(5, \).*\(1,\).*multi_class"),
    (dict(gt_label=torch.tensor([0, 1, -1, 0, 1])), 'zeros and ones'),
])
def test_samples_that_do_not_fit(change, words):
    sample = make_sample('v', torch.zeros(2, 5), torch.ones(5)).to_dict()
    with pytest.raises(ValueError, match=words):
        MultiLabelMAPMetric().process(None, [{**sample, **change}])


def test_logits_where_probabilities_should_be():
    with pytest.raises(ValueError, match="scores='prob'.*Set scores='logit'"):
        evaluate(make_dataset(), scores='prob')
