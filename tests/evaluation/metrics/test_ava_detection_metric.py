# Copyright (c) mmaction_memvit contributors. All rights reserved.

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmaction_memvit.annotations.ava import read_action_boxes
from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.evaluation.functional import evaluate_ava
from mmaction_memvit.evaluation.metrics import AVADetectionMetric

# Uneven videos: keyframes of each.
VIDEOS = {'a': 5, 'b': 1, 'c': 9, 'd': 2, 'e': 4}
NUM_CLASSES = 6
# Class 4 is not evaluated.
NAMES = {1: 'stand', 2: 'sit', 3: 'wave', 5: 'run'}
TRUTH_BOXES = np.array([[.1, .1, .5, .9], [.4, .2, .8, .7]])


def make_sample(video, timestamp, boxes, scores):
    """A scored keyframe as a detector hands it over."""
    return ActionDataSample(
        pred_instances=InstanceData(
            bboxes=torch.as_tensor(boxes, dtype=torch.float32),
            scores=torch.as_tensor(scores, dtype=torch.float32)),
        metainfo=dict(video_id=video, timestamp=timestamp))


def make_dataset(decimals=None):
    """Keyframes of VIDEOS, which have 0 to 4 boxes each."""
    rng = np.random.default_rng(0)
    samples = []
    for video, length in VIDEOS.items():
        for timestamp in range(length):
            num = rng.integers(0, 5)
            boxes = TRUTH_BOXES[rng.integers(0, 2, num)]
            boxes = boxes + rng.normal(0, .05, (num, 4))
            scores = rng.random((num, NUM_CLASSES))
            if decimals is not None:
                boxes, scores = boxes.round(decimals), scores.round(decimals)
            samples.append(make_sample(video, timestamp, boxes, scores))
    return samples


def write_files(folder):
    """Arguments of the metric; the last keyframes have no ground truth."""
    rng = np.random.default_rng(1)
    rows = [
        f'{video},{timestamp:04d},{",".join(map(str, box))},{label},{person}'
        for video, length in VIDEOS.items() for timestamp in range(length - 1)
        for person, box in enumerate(TRUTH_BOXES) for label in range(1, 6)
        if rng.random() < .5]
    rows.append('b,0000,0.1,0.1,0.5,0.9,1,0')
    rows.sort(key=lambda row: row[:6])
    (folder / 'truth.csv').write_text('\n'.join(rows) + '\n')
    (folder / 'excluded.csv').write_text('c,0002\na,0004\n')
    (folder / 'labels.pbtxt').write_text(''.join(
        f'item {{\n  name: "{name}"\n  id: {i}\n}}\n'
        for i, name in NAMES.items()))
    return dict(
        ann_file=str(folder / 'truth.csv'),
        exclude_file=str(folder / 'excluded.csv'),
        label_file=str(folder / 'labels.pbtxt'), num_classes=NUM_CLASSES)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp('ava'))


def evaluate(samples, files, batch_size=1, size=None, **kwargs):
    metric = AVADetectionMetric(**{**files, **kwargs})
    for i in range(0, len(samples), batch_size):
        metric.process(
            None, [sample.to_dict() for sample in samples[i:i + batch_size]])
    assert len(metric.results) == len(samples)
    return metric.evaluate(len(samples) if size is None else size)


@pytest.fixture
def their_metric(monkeypatch, tmp_path, one_process):
    """What MMAction2's metric says of the same samples."""
    from mmaction.evaluation import AVAMetric
    # It writes where it is.
    monkeypatch.chdir(tmp_path)

    def run(samples, files, **kwargs):
        # An eighth column would be a score to it.
        rows = open(files['ann_file']).read().split('\n')
        (tmp_path / 'seven.csv').write_text('\n'.join(
            row.rpartition(',')[0] for row in rows))
        metric = AVAMetric(**{**files, 'ann_file': str(tmp_path / 'seven.csv'),
                              **kwargs})
        metric.process(None, [sample.to_dict() for sample in samples])
        return metric.evaluate(len(samples))['mAP/overall']

    return run


@pytest.mark.filterwarnings('ignore:Mean of empty slice')
def test_equals_mmaction2(files, their_metric, log):
    samples = make_dataset()
    result = evaluate(samples, files)
    assert .1 < result['mAP/overall'] < .9
    assert result['mAP/overall'] == pytest.approx(
        their_metric(samples, files), abs=1e-9)
    # A stricter threshold; classes by the column's place in custom_classes.
    for options in (dict(action_thr=.6), dict(action_thr=-1.)):
        assert evaluate(samples, files,
                        **options)['mAP/overall'] == pytest.approx(
                            their_metric(samples, files, **options), abs=1e-9)
    custom = make_dataset()
    for sample in custom:
        sample.pred_instances.scores = sample.pred_instances.scores[:, :3]
    options = dict(custom_classes=[5, 2], num_classes=3)
    result = evaluate(custom, files, **options)
    assert result['mAP/overall'] == pytest.approx(
        their_metric(custom, files, **options), abs=1e-9)
    # In another order the columns stand for other classes.
    options['custom_classes'] = [2, 5]
    assert evaluate(custom, files, **options) != result


@pytest.mark.filterwarnings('ignore:Mean of empty slice')
def test_equals_mmaction2_where_scores_are_equal(files, their_metric, log,
                                                 monkeypatch):
    # Its order of equal scores is that of a sort which is not stable.
    from mmaction.evaluation.functional.ava_evaluation import metrics

    class Stable:

        def __getattr__(self, name):
            return getattr(np, name)

        def argsort(self, scores):
            return np.argsort(-scores, kind='stable')[::-1]

    monkeypatch.setattr(metrics, 'np', Stable())
    samples = make_dataset(decimals=1)
    assert evaluate(samples, files)['mAP/overall'] == pytest.approx(
        their_metric(samples, files), abs=1e-9)


def test_rounds_as_mmaction2_does(files, their_metric, log):
    # Scores that differ in the fifth decimal are the same to MMAction2, and
    # differ officially.
    box = TRUTH_BOXES[:1]
    samples = [make_sample('a', 0, box, [[0, .5, 0, 0, 0, 0]]),
               make_sample('c', 0, box + [[.3, 0, .3, 0]],
                           [[0, .50001, 0, 0, 0, 0]])]
    files = dict(files, custom_classes=[1], num_classes=2)
    for sample in samples:
        sample.pred_instances.scores = sample.pred_instances.scores[:, :2]
    truth = ['a,0,.1,.1,.5,.9,1,0\n', 'c,0,.1,.1,.5,.9,1,0\n']
    path = files['ann_file'].replace('truth', 'two')
    with open(path, 'w') as file:
        file.writelines(truth)
    result = evaluate(samples, dict(files, ann_file=path))
    # Tied, the first video is right first.
    assert result['mAP/overall_mmaction2'] == .5
    assert result['mAP/overall_official'] == .25


def test_conventions_and_results_file(files, tmp_path, log):
    samples, path = make_dataset(), str(tmp_path / 'out' / 'results.csv')
    default = evaluate(samples, files, results_file=path)
    assert set(default) == {'mAP/overall', 'mAP/overall_mmaction2',
                            'mAP/overall_official'}
    assert default['mAP/overall'] == default['mAP/overall_mmaction2']
    official = evaluate(samples, files, convention='official')
    assert official['mAP/overall'] == default['mAP/overall_official']
    # The last keyframe of each video has detections and no ground truth.
    assert official['mAP/overall'] < default['mAP/overall'] - .005
    table = next(text for _, text in log if text.startswith('Average'))
    rows = [line.split()[:2] for line in table.splitlines()[2:]]
    assert rows[:4] == [[str(i), name] for i, name in NAMES.items()]
    # The file scores the same.
    found = read_action_boxes(path, has_scores=True)
    assert len(found.labels) > 100 and 4 not in found.labels
    report = evaluate_ava(
        read_action_boxes(files['ann_file']), found,
        read_label_map(files['label_file']), None, {('c', 2), ('a', 4)})
    assert {f'mAP/{k}': v
            for k, v in report.metrics('mmaction2').items()} == default


def test_which_scores_are_detections(files, tmp_path, log):
    path = str(tmp_path / 'results.csv')
    scores = [[.9, .25, .5, .125, .75, .25]]
    scores.append([.9, *[np.nan] * 5])
    sample = make_sample('a', 0, TRUTH_BOXES, scores)

    def labels(action_thr):
        evaluate([sample], files, results_file=path, action_thr=action_thr)
        return [line.split(',')[6] for line in open(path)]

    # Above the threshold; class 4 is not evaluated.
    assert labels(.25) == ['2'] and labels(.125) == ['1', '2', '5']
    # The best class, which is the one that is not evaluated.
    assert labels(-1) == []
    sample.pred_instances.scores[0, 4] = 0
    assert labels(-1) == ['2']
    sample = make_sample('a', 0, TRUTH_BOXES[:1], [[.9, .8, 0]])
    evaluate([sample], files, custom_classes=[5, 2], num_classes=3,
             results_file=path)
    assert open(path).read() == 'a,0000,0.1,0.1,0.5,0.9,5,0.8\n'


def test_scores_that_are_not_finite(files, log):
    samples = make_dataset()
    whole = evaluate(samples, files)
    assert not [text for level, text in log if level > 20]
    scores = samples[2].pred_instances.scores
    scores[0, 2] = np.nan
    broken = evaluate(samples, files)
    warning, = [text for level, text in log if level > 20]
    assert warning.startswith('1 of ') and "'a,0002'" in warning
    # The others still count, as if this score had been 0.
    scores[0, 2] = 0
    assert broken == evaluate(samples, files) != whole
    # Column 0 means nothing.
    scores[0, 0] = np.nan
    assert evaluate(samples, files) == broken


def test_nothing_is_detected(files, log):
    samples = make_dataset()
    for sample in samples:
        sample.pred_instances = sample.pred_instances[:0]
    result = evaluate(samples, files)
    assert set(result.values()) == {0.}
    assert any('nothing was detected' in text for _, text in log)


@pytest.mark.parametrize('changes,message', [
    (dict(num_classes=5), 'up to 5.*num_classes=5'),
    (dict(num_classes=4, label_file=None), '1 to 3.*num_classes=4'),
])
def test_wrong_arguments(files, changes, message):
    with pytest.raises(ValueError, match=message):
        AVADetectionMetric(**{**files, **changes})


@pytest.mark.parametrize('change,message', [
    (lambda s: s.pop('timestamp'), 'without `timestamp`.*meta_keys'),
    (lambda s: s.pop('pred_instances'), 'needs a detector'),
    (lambda s: s['pred_instances'].update(scores=torch.rand(2, 5)),
     r'scores \(P, 6\)'),
    (lambda s: s['pred_instances'].update(scores=torch.rand(3, 6)),
     r'\(2, 4\) and \(3, 6\)'),
    (lambda s: s['pred_instances'].update(
        bboxes=torch.full((2, 4), 100.)), 'must be shares'),
    (lambda s: s['pred_instances'].update(
        bboxes=torch.full((2, 4), np.nan)), 'must be shares'),
])
def test_wrong_samples(files, change, message):
    metric = AVADetectionMetric(**files)
    sample = make_sample('a', 0, TRUTH_BOXES, np.zeros((2, 6))).to_dict()
    sample['pred_instances'] = dict(sample['pred_instances'].items())
    change(sample)
    with pytest.raises(ValueError, match=message):
        metric.process(None, [sample])
