# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample

from mmaction_memvit.annotations.online_detection import BENCHMARKS
from mmaction_memvit.evaluation.functional import evaluate_online_detection

FRAMES = dict(a=24, b=9, c=30)


def make_videos(num_classes, seed=0, ambiguous=None):
    """Scores and labels (L, num_classes) by video."""
    gen = np.random.default_rng(seed)
    videos = {}
    for name, num in FRAMES.items():
        labels = np.zeros((num, num_classes), np.float32)
        for label in gen.integers(1, num_classes, 6):
            first = gen.integers(num)
            labels[first:first + 5, label] = 1
        labels[~labels.any(1), 0] = 1
        if ambiguous is not None:
            labels[:3, ambiguous] = 1
        scores = gen.normal(size=labels.shape) + labels
        videos[name] = scores.astype(np.float32), labels
    return videos


def clips(videos, clip_len=3):
    """Clips as a recognizer hands them over, in any order."""
    samples = []
    for name, (scores, labels) in videos.items():
        for position in range(len(scores) // clip_len):
            own = slice(position * clip_len, (position + 1) * clip_len)
            sample = ActionDataSample()
            sample.set_pred_score(torch.from_numpy(scores[own]))
            sample.set_gt_label(torch.from_numpy(labels[own]))
            sample.set_metainfo(dict(video_id=name, timestamp=position))
            samples.append(sample.to_dict())
    return samples[::2] + samples[1::2]


def evaluate(samples, size=None, **kwargs):
    metric = METRICS.build(dict(
        type='mmaction_memvit.OnlineDetectionMetric', **kwargs))
    for start in range(0, len(samples), 4):
        metric.process(None, samples[start:start + 4])
    return metric.evaluate(len(samples) if size is None else size)


def directly(videos, **kwargs):
    scores, labels = (np.concatenate(x) for x in zip(*videos.values()))
    report = evaluate_online_detection(
        scores, labels, list(FRAMES.values()), **kwargs)
    return {f'frame/{k}': v for k, v in report.metrics().items()}


@pytest.mark.parametrize('benchmark, first', [
    ('thumos14', 'frame/mAP'), ('tvseries', 'frame/mcAP')])
def test_benchmarks(benchmark, first, log):
    own = BENCHMARKS[benchmark]
    videos = make_videos(len(own.names), ambiguous=own.ambiguous)
    found = evaluate(clips(videos), benchmark=benchmark)
    expected = directly(videos, ambiguous=own.ambiguous,
                        calibrated=own.calibrated)
    # Clips of any length, one frame each too.
    assert found == evaluate(clips(videos, 1), benchmark=benchmark)
    assert found == expected
    assert next(iter(found)) == first
    assert 0 < found[first] < 1 and f'{first}_stage1' in found
    shown = next(k for k, x in enumerate(own.names) if x in log[0][1] and k)
    assert own.names[shown] in log[0][1] and '3 videos' in log[0][1]
    # Heads without the last dimension give frames one by one.
    one = clips(videos, 1)
    for sample in one:
        sample['pred_score'] = sample['pred_score'][0]
    assert evaluate(one, benchmark=benchmark) == expected


def test_explicit_options():
    videos = make_videos(5, 1)
    assert evaluate(clips(videos)) == directly(videos, left_out=())
    assert evaluate(clips(videos), background=2, ambiguous=3,
                    calibrated=True) == directly(
        videos, left_out=(2, ), ambiguous=3, calibrated=True)
    assert evaluate(clips(videos), benchmark='epic100') == directly(videos)


def test_labels_as_ints():
    videos = make_videos(5, 2)
    samples = clips(videos)
    for name, (scores, labels) in videos.items():
        single = np.eye(5)[labels.argmax(1)]
        single[4:6] = 0
        videos[name] = scores, single
    for sample in samples:
        first = 3 * sample['timestamp']
        single = videos[sample['video_id']][1][first:first + 3]
        sample['gt_label'] = torch.from_numpy(
            np.where(single.any(1), single.argmax(1), -1))
    assert evaluate(samples, background=0) == directly(videos)


def test_several_tasks():
    verbs, nouns = make_videos(4, 3), make_videos(6, 4)
    samples = clips(verbs)
    for sample, other in zip(samples, clips(nouns)):
        sample['pred_score'] = dict(
            verb=sample['pred_score'], noun=other['pred_score'])
        sample['gt_label'] = torch.cat(
            [sample['gt_label'], other['gt_label']], 1)
    found = evaluate(samples, benchmark='epic100')
    for task, videos in (('verb', verbs), ('noun', nouns)):
        for name, value in directly(videos).items():
            assert found.pop(name.replace('/', f'/{task}_')) == value
    assert not found


def test_what_must_not_go_unseen():
    videos = make_videos(5)
    samples = clips(videos)
    with pytest.raises(ValueError, match='20 clips.*21'):
        evaluate(samples[1:], 21)
    with pytest.raises(ValueError, match='scored twice'):
        other = {**samples[0], 'pred_score': torch.zeros(3, 5)}
        evaluate([*samples, other], len(samples))
    samples[4]['pred_score'][1, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 21 .*NaN.*\('b', 0\)"):
        evaluate(samples)


def test_clips_must_not_overlap():
    samples = clips(make_videos(5))
    for sample in samples:
        start = sample['timestamp'] * 3.
        times = start + np.arange(3)
        sample['token_times'] = np.stack([times, times + 1], 1)
        # Padding has no time.
        sample['token_times'][2] = np.nan
    found = evaluate(samples)
    for sample in samples:
        sample['token_times'] -= 2 * sample['timestamp']
    with pytest.raises(ValueError, match='clip_stride'):
        evaluate(samples)
    for sample in samples:
        del sample['token_times']
    assert evaluate(samples) == found


@pytest.mark.parametrize('labels', [
    torch.zeros(3, 4), torch.zeros(2, 5), torch.tensor([0, 1, 5]),
    torch.tensor([0, 1])])
def test_labels_that_do_not_fit(labels):
    sample = clips(make_videos(5))[0]
    with pytest.raises(ValueError, match='num_classes'):
        evaluate([{**sample, 'gt_label': labels}])


def test_names_that_do_not_fit():
    with pytest.raises(ValueError, match='22 class names.*5'):
        evaluate(clips(make_videos(5)), benchmark='thumos14')
