# Copyright (c) mmaction_memvit contributors. All rights reserved.

import numpy as np
import pytest
from helpers.calls import count_calls

from mmaction_memvit.annotations.ava import ActionBoxes, image_key
from mmaction_memvit.evaluation.functional import (
    evaluate_ava,
    find_problems,
    frame_ap,
)

CLASSES = [1, 2, 4, 5]
EXCLUDED = {('b', 3), ('a', 2)}


def boxes_from_rows(rows, keys=()):
    """The table of rows (video, timestamp, box, label, score)."""
    unique = sorted({(row[0], row[1]) for row in rows} | set(keys))
    return ActionBoxes(
        unique,
        np.array([unique.index((row[0], row[1])) for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[3] for row in rows], np.int64),
        np.array([row[4] for row in rows], np.float64))


def random_case(seed, ties=False):
    """Ground truth and detections around it, in four decimals."""
    rng = np.random.default_rng(seed)
    truth, found, scores = [], [], rng.permutation(9000)[:3000] + 1000
    for video in 'bca':
        for timestamp in range(1, 8):
            boxes = []
            for _ in range(rng.integers(0, 4)):
                corner = rng.integers(0, 5000, 2)
                boxes.append(
                    np.concatenate([corner, corner + rng.integers(
                        1000, 5000, 2)]))
            if timestamp < 6:
                truth += [(video, timestamp, box / 1e4, label, 1.)
                          for box in boxes for label in (1, 2, 3, 5)
                          if rng.random() < 0.6]
            for box in boxes * 2:
                shift = rng.integers(-450, 450, 4)
                for label in (1, 2, 3, 4):
                    if rng.random() < 0.7:
                        score = 0.5 if ties else scores[len(found)] / 1e4
                        moved = np.clip(box + shift, 0, 9999) / 1e4
                        found.append((video, timestamp, moved, label, score))
    return truth, found


def iou_of(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return width * height / (sum(areas) - width * height)


def slow_ap(truth, found, label, excluded, official):
    """AP by its definition: the best precision at each recall, in loops."""
    total = sum(row[3] == label and
                not (official and row[:2] in excluded) for row in truth)
    truth = [row for row in truth if row[:2] not in excluded]
    images = {row[:2] for row in truth if row[3] in CLASSES}
    found = [row for row in found if row[3] == label
             and row[:2] not in excluded and (official or row[:2] in images)]
    if not total or not (found or official):
        return np.nan
    truth = [row for row in truth if row[3] == label]
    taken, points, num_right = set(), [], 0
    for n, row in enumerate(sorted(found, key=lambda row: -row[4]), 1):
        overlaps = [(iou_of(row[2], other[2]), -i)
                    for i, other in enumerate(truth) if other[:2] == row[:2]]
        best, i = max(overlaps, default=(0., 0))
        if best >= 0.5 and i not in taken:
            taken.add(i)
            num_right += 1
        points.append((num_right, num_right / n))
    return sum(max([p for num, p in points if num >= k], default=0.)
               for k in range(1, total + 1)) / total


@pytest.mark.parametrize('convention', ['mmaction2', 'official'])
def test_equals_the_definition(convention):
    for seed in range(5):
        truth, found = random_case(seed)
        expected = [
            slow_ap(truth, found, label, EXCLUDED, convention == 'official')
            for label in CLASSES]
        result = frame_ap(boxes_from_rows(truth), boxes_from_rows(found),
                          CLASSES, EXCLUDED, convention)
        np.testing.assert_allclose(result.ap, expected, atol=1e-12)
        assert result.mean == pytest.approx(np.nanmean(expected), abs=1e-12)
        # Class 4 has no ground truth, class 5 no detection.
        assert np.isnan(result.ap[2]) and 0 < result.ap[0] < 1
        assert np.isnan(result.ap[3]) == (convention == 'mmaction2')
        if convention == 'official':
            assert result.ap[3] == 0


def write(path, rows, with_scores):
    path.write_text(''.join(
        image_key(*row[:2]) + ',' + ','.join(f'{x:.4f}' for x in row[2]) +
        f',{row[3]}' + (f',{row[4]:.4f}' if with_scores else '') + '\n'
        for row in rows))
    return str(path)


@pytest.fixture
def their_map(tmp_path, one_process):
    """What MMAction2 says of ground truth and detections."""
    from mmaction.evaluation import ava_eval

    def run(truth, found, excluded=EXCLUDED, names='abcde', custom=None):
        (tmp_path / 'labels.pbtxt').write_text(''.join(
            f'item {{\n  name: "{name}"\n  id: {i}\n}}\n'
            for i, name in enumerate(names, 1) if i != 3))
        (tmp_path / 'excluded.csv').write_text(''.join(
            f'{video},{timestamp:04d}\n' for video, timestamp in excluded))
        return ava_eval(write(tmp_path / 'found.csv', found, True), 'mAP',
                        str(tmp_path / 'labels.pbtxt'),
                        write(tmp_path / 'truth.csv', truth, False),
                        str(tmp_path / 'excluded.csv'), verbose=False,
                        custom_classes=custom)['overall']

    return run


@pytest.mark.filterwarnings('ignore:Mean of empty slice')
def test_overlap_of_exactly_the_threshold(their_map):
    # Boxes on a grid: many overlaps of 0.5, where rounding decides.
    rng = np.random.default_rng(0)
    truth, found = [], []
    for i in range(300):
        x, y, w, h = rng.integers(1, 9, 4) / 20
        truth.append(('a', i, (x, y, x + 2 * w, y + h), 1, 1.))
        found.append(('a', i, (x, y, x + w, y + h), 1, (i + 1) / 1e3))
    expected = their_map(truth, found, excluded=())
    assert 0 < expected < 1
    ours = frame_ap(boxes_from_rows(truth), boxes_from_rows(found), [1])
    assert ours.mean == pytest.approx(expected, abs=1e-9)


def test_order_of_rows_makes_no_difference():
    rng = np.random.default_rng(0)
    truth, found = random_case(0, ties=True)
    num_different = 0
    expected = frame_ap(
        boxes_from_rows(truth), boxes_from_rows(found), CLASSES).ap
    for _ in range(5):
        # Keyframes in any order; rows of a keyframe keep theirs.
        keys = sorted({row[:2] for row in found})
        rank = dict(zip(keys, rng.permutation(len(keys))))
        moved = sorted(found, key=lambda row: rank[row[:2]])
        shuffled = [truth[i] for i in rng.permutation(len(truth))]
        ap = frame_ap(
            boxes_from_rows(shuffled), boxes_from_rows(moved), CLASSES).ap
        np.testing.assert_array_equal(ap, expected)
        # Other ranks among equal scores would be seen.
        ranked = [(*row[:4], row[4] - rank[row[:2]] / 1e3) for row in found]
        ap = frame_ap(
            boxes_from_rows(truth), boxes_from_rows(ranked), CLASSES).ap
        num_different += not np.allclose(ap, expected, equal_nan=True)
    assert num_different == 5


def test_iou_threshold_is_reached_not_exceeded():
    truth = boxes_from_rows([('a', 0, (0, 0, 1, 1), 1, 1.)])
    found = boxes_from_rows([('a', 0, (0, 0, .5, 1), 1, .9)])
    for convention in ('mmaction2', 'official'):
        for iou_thr, mean in [(0.5, 1), (0.51, 0)]:
            assert frame_ap(
                truth, found, [1], (), convention, iou_thr).mean == mean


def test_boxes_without_area():
    truth = boxes_from_rows([('a', 0, (0, 0, 1, 1), 1, 1.),
                             ('a', 1, (.5, .5, .5, .5), 1, 1.)])
    found = boxes_from_rows([('a', 0, (.2, 0, .2, 1), 1, .9),
                             ('a', 0, (0, 0, 1, 1), 1, .8),
                             ('a', 1, (.5, .5, .5, .5), 1, .7)])
    assert frame_ap(truth, found, [1], (), 'mmaction2').mean == 0.25
    assert frame_ap(truth, found, [1], (), 'official').mean == 0.5


def test_report():
    names = {i: f'class {i}' for i in range(1, 81)}
    names.update({12: 'stand', 80: 'watch (a person)', 17: 'carry'})
    truth, found = [], []
    for i, (label, ok) in enumerate([(12, 1), (17, 0), (64, 1), (80, 0)]):
        truth.append(('a', i, (0, 0, 1, 1), label, 1.))
        found.append(('a', i, (0, 0, 1, .4 + ok / 2), label, .5))
    # Without ground truth at this time: officially wrong.
    found.append(('a', 9, (0, 0, 1, 1), 64, .9))
    report = evaluate_ava(boxes_from_rows(truth), boxes_from_rows(found),
                          names)
    assert report.metrics('mmaction2') == dict(
        overall=.5, overall_mmaction2=.5, overall_official=.375,
        person_movement=1., object_manipulation=0., person_interaction=.5)
    scores = report.metrics('official')
    assert scores['overall'] == .375 and scores['person_interaction'] == .25
    lines = [line.split() for line in report.table().splitlines()]
    assert lines[1] == ['1', 'class', '1', '0', '0', '-', '-']
    assert lines[64] == ['64', 'class', '64', '1', '2', '1.0000', '0.5000']
    assert lines[81] == ['mean', '4', '5', '0.5000', '0.3750']
    empty = boxes_from_rows([], keys=[('a', 0)])
    assert evaluate_ava(boxes_from_rows(truth), empty, names).metrics(
        'mmaction2')['overall_official'] == 0
    # Groups belong to AVA's own classes only.
    names[12] = 'juggle'
    report = evaluate_ava(boxes_from_rows(truth), boxes_from_rows(found),
                          names)
    assert 'person_movement' not in report.metrics('mmaction2')


def test_problems_are_found():
    truth = boxes_from_rows([('a', i, (0, 0, 1, 1), 1, 1.) for i in range(5)])
    found = boxes_from_rows([], keys=[('a', 1), ('a', 9), ('z', 1), ('z', 2)])
    missing, unknown = find_problems(truth, found, {('a', 0)})
    assert missing.startswith('3 of 4 keyframes with ground truth')
    assert "'a,0002'" in missing
    assert unknown.startswith('2 scored keyframes are of 1 videos')
    same = [('a', 0, (0, 0, 1, 1), 1, 1.)] * 3
    other = [('a', 0, (0, 0, 1, 1), 2, 1.), ('a', 0, (0, 0, 1, .9), 1, 1.)]
    message, = find_problems(
        boxes_from_rows(same + other), boxes_from_rows(same), ())
    assert message.startswith('2 of 5 rows of the ground truth repeat')
    with pytest.raises(ValueError, match=r"like 'z,0001'.* for 'a,0000'"):
        find_problems(truth, boxes_from_rows([], keys=[('z', 1)]), ())


def test_is_quick():
    # A twentieth of AVA's validation keyframes with 80 classes on each box:
    # calls for every class, not for every keyframe or box.
    rng = np.random.default_rng(0)
    num, classes = 2850, 80
    keys = [(f'v{i // 900}', i % 900) for i in range(num)]
    corner = rng.random((num * 2, 2)) / 2
    boxes = np.concatenate([corner, corner + .3], 1)
    found = ActionBoxes(keys, np.repeat(np.arange(num), 2 * classes),
                        np.repeat(boxes, classes, 0).astype(np.float32),
                        np.tile(np.arange(1, classes + 1), num * 2),
                        rng.random(num * 2 * classes).astype(np.float32))
    which = rng.permutation(len(found.labels))[:8000]
    truth = found._replace(
        **{k: getattr(found, k)[which]
           for k in ('images', 'boxes', 'labels', 'scores')})
    result, calls = count_calls(
        lambda: frame_ap(truth, found, range(1, classes + 1)))
    ap = result.ap
    assert calls < 40 * classes
    assert (ap > 0).all() and (ap < 0.5).all()
