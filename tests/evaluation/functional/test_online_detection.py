# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest

from mmaction_memvit.evaluation.functional import evaluate_online_detection
from mmaction_memvit.evaluation.functional.online_detection import (
    average_precision,
)

LENGTHS = (70, 1, 90, 39)


def defined(scores, shown, calibrated):
    """By definition: mean over positives of precision at their score."""
    pairs = list(zip(scores.tolist(), shown.tolist()))
    num = sum(y for _, y in pairs)
    weight = (len(pairs) - num) / num if calibrated else 1
    precisions = []
    for score, right in pairs:
        if right:
            hits = sum(y for s, y in pairs if s >= score)
            false = sum(not y for s, y in pairs if s >= score)
            precisions.append(hits / (hits + false / (weight or 1)))
    return sum(precisions) / num


def stages_of(shown, lengths):
    """Frames of each stage, action by action."""
    stages = [[] for _ in range(10)]
    begin = 0
    for length in lengths:
        frame = begin
        while frame < begin + length:
            last = frame
            while last < begin + length and shown[last]:
                last += 1
            if last > frame:
                span = last - 1 - frame
                for k, stage in enumerate(stages):
                    first = frame + span * k // 10
                    stop = max(first + 1, frame + span * (k + 1) // 10)
                    stage += range(first, stop)
            frame = max(last, frame + 1)
        begin += length
    return stages


def make(kind, seed):
    """Scores and labels of 200 frames; class 3 does not occur."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((200, 6), int)
    for _ in range(18):
        first = rng.integers(200)
        label = rng.choice([1, 2, 4])
        labels[first:first + rng.integers(1, 30), label] = 1
    labels[60:66, 5] = 1
    labels[180:, 1:5] = 0
    labels[~labels.any(1), 0] = 1
    scores = rng.normal(size=labels.shape) + labels
    if kind == 'tied':
        scores = scores.round()
    elif kind == 'constant':
        scores = np.zeros(labels.shape)
    elif kind == 'single':
        scores = scores.astype(np.float32)
    elif kind == 'best':
        scores = labels + 1e-9 * scores
    elif kind == 'worst':
        scores = -labels + 1e-9 * scores
    elif kind == 'extreme':
        # Neighbours of each other, of the least numbers and of infinity.
        scores = rng.choice([-np.inf, -1e308, 0., 5e-324, 1., 1 + 2**-52,
                             np.inf], labels.shape)
    return scores, labels


KINDS = ('random', 'tied', 'constant', 'single', 'best', 'worst', 'extreme')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('calibrated', [False, True])
def test_equals_the_definition(kind, calibrated):
    scores, labels = make(kind, KINDS.index(kind))
    report = evaluate_online_detection(
        scores, labels, LENGTHS, ambiguous=5, calibrated=calibrated)
    keep = labels[:, 5] == 0
    assert report.num_left_out == (~keep).sum() == 6
    # Of the second video one frame, of the first less the ambiguous.
    lengths = [64, 1, 90, 39]
    kept, shown = scores[keep], labels[keep] == 1
    for i in (1, 2, 4):
        for own, is_calibrated in ((report.ap, False), (report.cap, True)):
            assert own[i] == pytest.approx(
                defined(kept[:, i], shown[:, i], is_calibrated), abs=1e-9)
        negative = ~shown[:, i]
        for k, frames in enumerate(stages_of(shown[:, i], lengths)):
            both = np.r_[np.flatnonzero(negative), frames].astype(int)
            expected = defined(kept[both, i], shown[both, i], calibrated)
            assert report.by_stage[k, i] == pytest.approx(expected, abs=1e-9)
    for i in (0, 3, 5):
        assert np.isnan([report.ap[i], report.cap[i],
                         *report.by_stage[:, i]]).all()
    metrics = report.metrics()
    first = 'mcAP' if calibrated else 'mAP'
    assert next(iter(metrics)) == first and metrics['classes'] == 3
    assert metrics['mAP'] == pytest.approx(report.ap[[1, 2, 4]].mean())
    assert metrics['mcAP'] == pytest.approx(report.cap[[1, 2, 4]].mean())
    assert metrics[f'{first}_stage10'] == pytest.approx(
        report.by_stage[9, [1, 2, 4]].mean())
    if kind == 'best':
        assert metrics['mAP'] == metrics['mcAP'] == 1
    if kind == 'constant' and calibrated:
        # Chance, whatever the classes' frequencies.
        assert metrics['mcAP'] == pytest.approx(0.5)


@pytest.mark.parametrize('kind', ['random', 'tied', 'constant', 'single'])
def test_equals_scikit_learn(kind):
    metrics = pytest.importorskip('sklearn.metrics')
    scores, labels = make(kind, 3)
    for i in (1, 2, 4):
        assert average_precision(scores[:, i], labels[:, i]) == pytest.approx(
                metrics.average_precision_score(labels[:, i], scores[:, i]),
                abs=1e-9)


def test_frames_that_are_not_annotated():
    scores, labels = make('random', 1)
    labels[20:30] = 0
    keep = np.r_[0:20, 30:200]
    one = evaluate_online_detection(scores, labels, LENGTHS)
    two = evaluate_online_detection(
        scores[keep], labels[keep], (60, 1, 90, 39))
    np.testing.assert_array_equal(one.ap, two.ap)
    np.testing.assert_array_equal(one.by_stage, two.by_stage)
    assert one.num_left_out == 10 and one.num_frames == 190
    # Shares, which losses learn from, say the same.
    shares = labels / np.maximum(labels.sum(1, keepdims=True), 1)
    three = evaluate_online_detection(scores, shares, LENGTHS)
    np.testing.assert_array_equal(one.ap, three.ap)


def test_by_hand():
    scores = np.array([[0, .9, .1], [0, .8, .2], [0, .7, .3], [0, .6, .4]])
    labels = [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    report = evaluate_online_detection(scores, labels, None,
                                       ['none', 'run', 'sit'])
    assert report.ap[1] == report.cap[1] == 0.5
    # Without the second frame there are twice as many negatives.
    labels[1] = [1, 0, 0]
    report = evaluate_online_detection(scores, labels, None,
                                       ['none', 'run', 'sit'])
    assert report.ap[1] == 1 / 4
    assert report.cap[1] == pytest.approx(1 / 2)
    lines = [x.split() for x in report.table().split('\n')]
    assert lines[1] == ['1', 'run', '1', '0.2500', '0.5000']
    assert lines[2] == ['mean', 'of', '1', '4', '0.2500', '0.5000']
    assert lines[5] == ['0.2500'] * 10
    # All frames show it.
    assert average_precision([.1, .2], [1, 1], True) == 1


@pytest.mark.parametrize('change, words', [
    (dict(scores=np.full((4, 2), np.nan)), ['4 of 4', 'NaN']),
    (dict(labels=np.eye(2)[[0, 0, 0, 0]]), ['4 frames', 'action']),
    (dict(labels=np.zeros((3, 2))), ['(4, 2)', '(3, 2)']),
    (dict(lengths=[3, 2]), ['5 frames']),
])
def test_errors(change, words):
    arguments = dict(scores=np.zeros((4, 2)), labels=np.eye(2)[[0, 1, 1, 0]])
    evaluate_online_detection(**arguments)
    with pytest.raises(ValueError) as error:
        evaluate_online_detection(**{**arguments, **change})
    for word in words:
        assert word in str(error.value)
