# Copyright (c) mmaction_memvit contributors. All rights reserved.

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample

from mmaction_memvit.evaluation.metrics import VideoAccMetric

# Uneven videos: number of clips and label of each.
VIDEOS = {'a': (5, 0), 'b': (1, 2), 'c': (9, 1), 'd': (2, 2), 'e': (4, 0)}


def make_sample(video, time, scores, label, **meta):
    """A scored clip as a recognizer hands it over."""
    sample = ActionDataSample()
    sample.set_gt_label(label)
    sample.set_pred_score(torch.as_tensor(scores))
    sample.set_metainfo({'video_id': video, 'timestamp': time, **meta})
    return sample


def make_dataset():
    """Clips of VIDEOS; as logits, their sums depend on the order."""
    generator = torch.Generator().manual_seed(0)
    return [
        make_sample(video, time, torch.randn(3, generator=generator), label)
        for video, (length, label) in VIDEOS.items() for time in range(length)]


def evaluate(samples, **kwargs):
    """Evaluate in one batch."""
    metric = VideoAccMetric(**kwargs)
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


def warned(log):
    return [text for level, text in log if level > 20]


def test_averages_the_clips_of_a_video(log):
    samples = [
        # The clips of `a` are right only together, `b` is wrong.
        make_sample('a', 0, [.2, .8, .0], 0),
        make_sample('a', 1, [.9, .1, .0], 0),
        make_sample('b', 0, [.1, .5, .4], 2)]
    result = evaluate(samples, metric_options={
        'top_k_accuracy': {'topk': (1, 2)}})
    assert result == {'acc/top1': 0.5, 'acc/top2': 1.0, 'acc/mean1': 1 / 3}
    assert warned(log) == []


def test_unlabelled_clips_count_in_nothing():
    samples = [
        make_sample('a', 0, [.1, .9], 0), make_sample('a', 1, [.0, 1.], -1),
        make_sample('a', 2, [.95, .05], 0), make_sample('b', 0, [.0, 1.], -1)]
    metric = VideoAccMetric('top_k_accuracy')
    metric.process(None, [sample.to_dict() for sample in samples])
    # One result per sample, or evaluate(4) would cut real ones elsewhere.
    assert len(metric.results) == 4
    assert metric.evaluate(4)['acc/top1'] == 1


def test_segments_are_judged_one_by_one():
    samples = [make_sample('a', 0, [.9, .1], 0, segment_id='1'),
               make_sample('a', 1, [.8, .2], 0, segment_id='1'),
               make_sample('a', 2, [.7, .3], 1, segment_id='2'),
               make_sample('a', 3, [.0, 1.], -1, segment_id='')]
    result = evaluate(samples, metric_list='top_k_accuracy')
    assert result['acc/top1'] == 0.5
    for sample in samples:
        del sample.segment_id
    with pytest.raises(ValueError, match="'a'.*label 0 at timestamp 0 but 1 "
                       "at 2.*'segment_id'"):
        evaluate(samples)


def test_softmax_for_logits_only():
    # Raw scores: clip 0 shouts, but as probabilities it is outvoted.
    logits = [[20., 0., 0.], [0., 3., 0.], [0., 3., 0.]]
    samples = [make_sample('a', t, x, 1) for t, x in enumerate(logits)]
    assert evaluate(samples)['acc/top1'] == 1
    assert evaluate(samples, average='score')['acc/top1'] == 0
    # Probabilities stay as they are: a second softmax flattens them so much
    # that the two mild clips win.
    probs = [[.9, .1, .0], [.35, .6, .05], [.35, .6, .05]]
    samples = [make_sample('a', t, x, 0) for t, x in enumerate(probs)]
    assert evaluate(samples)['acc/top1'] == 1
    metric = VideoAccMetric()
    half = torch.tensor(probs[0]).bfloat16()
    metric.process(None, [make_sample('a', 0, half, 0).to_dict()])
    stored = metric.results[0][1]['pred']
    assert stored.dtype == np.float32
    assert (metric._score(stored) == stored).all()


def test_order_of_arrival_makes_no_difference():
    samples = make_dataset()
    expected = None
    for seed in range(5):
        metric = VideoAccMetric()
        metric.process(None, [sample.to_dict() for sample in samples])
        order = np.random.default_rng(seed).permutation(len(samples))
        seen = {}
        metric.calculate = lambda preds, labels, seen=seen: seen.update(
            preds=np.stack(preds), labels=labels) or {}
        metric.compute_metrics([metric.results[i] for i in order])
        assert seen['preds'].dtype == np.float64
        if expected is not None:
            # Bit for bit, not only to rounding.
            assert (seen['preds'] == expected['preds']).all()
            assert seen['labels'] == expected['labels']
        expected = seen
    assert expected['preds'].shape == (5, 3)


def test_more_than_all_classes(log):
    metric = VideoAccMetric()
    for _ in range(2):
        metric.process(None, [make_sample('a', 0, [.6, .3, .1], 2).to_dict()])
        result = metric.evaluate(1)
        assert (result['acc/top1'], result['acc/top5']) == (0, 1)
    assert len(warned(log)) == 1
    assert '3 classes' in warned(log)[0] and 'top5' in warned(log)[0]


def test_scores_that_are_not_finite(log):
    samples = [make_sample('a', 0, [float('nan'), .5], 0),
               make_sample('a', 1, [.6, .4], 0),
               make_sample('b', 0, [float('inf'), 0.], 0),
               make_sample('c', 0, [0., float('nan')], 1)]
    result = evaluate(samples, metric_options={'top_k_accuracy': {'topk': 1}})
    assert result['acc/top1'] == pytest.approx(1 / 3)
    assert len(warned(log)) == 1 and '3 labelled clips' in warned(log)[0]


def test_multi_label():
    samples = [make_sample('a', 0, [.9, .2, .6], [1, 0, 1]),
               make_sample('a', 1, [.1, .2, .9], [1, 0, 1]),
               make_sample('b', 0, [.1, .9, .1], [0, 1, 0])]
    result = evaluate(samples, average='score',
                      metric_list=['mmit_mean_average_precision'])
    assert result == {'acc/mmit_mean_average_precision': 1}


def test_nothing_labelled():
    with pytest.raises(ValueError, match='None of the 2 clips has a label'):
        evaluate([make_sample('a', t, [.6, .4], -1) for t in range(2)])


def test_label_out_of_range():
    with pytest.raises(ValueError,
                       match="'a' has label 2, but.*2 classes.*end at 1"):
        evaluate([make_sample('a', 0, [.6, .4], 2)])
