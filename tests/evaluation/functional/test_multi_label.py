# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from mmaction.evaluation.functional import mean_average_precision

from mmaction_memvit.evaluation.functional import evaluate_multi_label


def average_precision(scores, labels):
    """By definition: over thresholds, precision times the gain in recall."""
    total, before = 0., 0.
    for threshold in sorted(set(scores), reverse=True):
        found = [y for s, y in zip(scores, labels) if s >= threshold]
        recall = sum(found) / sum(labels)
        total += (recall - before) * sum(found) / len(found)
        before = recall
    return total


def make(kind, seed):
    """Scores and labels of 40 videos; class 3 does not occur."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((40, 7)) < 0.2).astype(int)
    labels[:, 3] = 0
    labels[[4, 11, 30]] = 0
    scores = rng.normal(size=(40, 7)) + labels
    if kind == 'tied':
        scores = scores.round()
    elif kind == 'constant':
        scores = np.zeros((40, 7))
    return scores, labels


@pytest.mark.parametrize('kind', ['random', 'tied', 'constant'])
@pytest.mark.parametrize('seed', range(3))
def test_equals_the_definition(kind, seed):
    scores, labels = make(kind, seed)
    report = evaluate_multi_label(scores, labels)
    some = labels.any(1)
    assert 3 <= report.num_empty == (~some).sum()
    for i in range(7):
        if i == 3:
            assert np.isnan([report.ap[i], report.ap_labelled[i]]).all()
            continue
        assert report.ap[i] == pytest.approx(
            average_precision(scores[:, i], labels[:, i]), abs=1e-12)
        assert report.ap_labelled[i] == pytest.approx(
            average_precision(scores[some, i], labels[some, i]), abs=1e-12)
    metrics = report.metrics()
    assert metrics['classes'] == 6
    assert metrics['mAP'] == pytest.approx(np.nanmean(report.ap))
    with np.errstate(invalid='ignore'):
        assert metrics['mAP'] == pytest.approx(
            mean_average_precision(list(scores), list(labels)))
    if kind == 'constant':
        # Chance, which more negatives lower.
        assert metrics['mAP'] < metrics['mAP_labelled']

    # Ties do not depend on the order of videos.
    order = np.random.default_rng(9).permutation(40)
    again = evaluate_multi_label(scores[order], labels[order])
    np.testing.assert_allclose(again.ap, report.ap, atol=1e-12)


def test_by_hand():
    scores = [[.9, 0, .1], [.8, 0, .2], [.7, 0, .3], [.6, 0, .4]]
    labels = [[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    report = evaluate_multi_label(scores, labels, ['sit', 'run', 'eat'])
    assert report.ap[::2].tolist() == [0.5, 0.5]
    # Without the first video.
    assert report.ap_labelled[::2].tolist() == [
        pytest.approx((1 + 2 / 3) / 2), .5]
    lines = report.table().split('\n')
    assert lines[1].split() == ['0', 'sit', '2', '0.5000', '0.8333']
    # Nobody runs.
    assert lines[2].split() == ['2', 'eat', '1', '0.5000', '0.5000']
    assert lines[3].split() == ['mean', 'of', '2', '4', '0.5000', '0.6667']
    assert len(lines) == 5
    assert 'all 4 videos' in lines[4] and 'the 3 that have' in lines[4]


def test_no_video_has_a_class():
    with pytest.raises(ValueError, match='None of the 2 videos'):
        evaluate_multi_label(np.zeros((2, 3)), np.zeros((2, 3)))
