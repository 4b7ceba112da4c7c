# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from mmaction_memvit.datasets.stream import seeded
from mmaction_memvit.datasets.transforms import (
    DropLostBoxes,
    SampleKeyframeClip,
    TrimToSegment,
)


def boxes(*rows):
    return np.asarray(rows, dtype=np.float32).reshape(-1, 4)


def test_lost_boxes_go_with_all_that_belongs_to_them():
    results = dict(
        gt_bboxes=boxes([0, 0, 5, 5], [0, 3, 0, 9], [2, 2, 2.5, 9]),
        gt_labels=np.eye(3, dtype=np.float32), entity_ids=np.array([7, 8, 9]),
        proposals=boxes([4, 9, 6, 9], [1, 1, 2, 2]),
        scores=np.array([0.9, 0.8]),
        orig_proposals=boxes([0, 0, 1, 1], [0, 0, .5, .5]))
    transform = TRANSFORMS.build(dict(type='DropLostBoxes'))
    got = transform(dict(results))
    assert got['gt_bboxes'].tolist() == [[0, 0, 5, 5]]
    assert got['gt_labels'].tolist() == [[1, 0, 0]]
    assert got['entity_ids'].tolist() == [7]
    assert got['proposals'].tolist() == [[1, 1, 2, 2]]
    assert got['scores'].tolist() == [0.8]
    assert got['orig_proposals'].tolist() == [[0, 0, .5, .5]]
    # Without a least size lines still go.
    got = DropLostBoxes(0.)(dict(results))
    assert got['entity_ids'].tolist() == [7, 9] and len(got['scores']) == 1


def test_no_box():
    got = DropLostBoxes()(dict(
        gt_bboxes=boxes(), gt_labels=np.zeros((0, 3), np.float32)))
    assert got['gt_bboxes'].shape == (0, 4) and 'proposals' not in got
    got = DropLostBoxes()(dict(
        gt_bboxes=boxes([3, 3, 3, 3]), gt_labels=np.ones((1, 3), np.float32),
        proposals=None))
    assert got['gt_bboxes'].shape == (0, 4)
    assert got['gt_labels'].shape == (0, 3)


def spot(box, height=64, width=96):
    """An image in which just the box is white."""
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = (int(v) for v in box)
    image[y1:y2, x1:x2] = 255
    return image


AUGMENT = [dict(type='RandomRescale', scale_range=(64, 96)),
           dict(type='RandomCrop', size=56),
           dict(type='Flip', flip_ratio=0.5),
           dict(type='DropLostBoxes')]


def test_boxes_move_with_images_and_alike_in_a_video():
    augment = TRANSFORMS.build(
        dict(type='PerVideoAugment', transforms=AUGMENT))
    box = [30, 20, 60, 44]
    seen, lost = {}, 0
    for video in range(12):
        for clip in range(3):
            results = augment(
                dict(
                    imgs=[spot(box)] * 2, img_shape=(64, 96), modality='RGB',
                    video_id=str(video), timestamp=clip, epoch=0,
                    # How many boxes there are must not change what is drawn.
                    gt_bboxes=boxes(*[box] * (clip + 1), [0, 0, 4, 4]),
                    gt_labels=np.ones((clip + 2, 3), np.float32),
                    entity_ids=np.arange(clip + 2), proposals=boxes(box)))
            image = results['imgs'][0]
            assert image.shape == (56, 56, 3)
            first = seen.setdefault(video, image)
            np.testing.assert_array_equal(image, first)
            for key in ('gt_bboxes', 'proposals'):
                moved = results[key]
                assert moved.dtype == np.float32
                if not len(moved):
                    continue
                ys, xs = np.nonzero(image[..., 0] > 127)
                shown = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                # A crop ends boxes at the last pixel, not behind it.
                np.testing.assert_allclose(moved[0], shown, atol=1.6)
            lost += len(results['gt_bboxes']) < clip + 2
            assert len(results['gt_bboxes']) == len(results['gt_labels']) \
                == len(results['entity_ids'])
    assert lost and len({x.tobytes() for x in seen.values()}) > 6


def sample(center=60, total=27000, fps=30., **kwargs):
    return dict(center_frame=center, total_frames=total, fps=fps, **kwargs)


def inds(results, *args, **kwargs):
    return SampleKeyframeClip(*args, **kwargs)(results)['frame_inds'].tolist()


def test_released_recipes():
    # Second 902 of a cut that starts at 900: frame 60 at 30 fps.
    transform = TRANSFORMS.build(
        dict(type='SampleKeyframeClip', clip_len=16, frame_interval=4))
    results = transform(sample())
    assert results['frame_inds'].tolist() == list(range(28, 89, 4))
    assert results['frame_inds'].dtype == np.int64
    assert (results['clip_len'], results['frame_interval'],
            results['num_clips']) == (16, 4, 1)
    assert inds(sample(center=90), 32, 3) == list(range(42, 138, 3))
    # The keyframe is frame clip_len // 2.
    assert inds(sample(), 5, 2) == [56, 58, 60, 62, 64]


@pytest.mark.parametrize('fps, center, want', [
    (60., 120, [56 + 8 * k for k in range(16)]),
    (15., 30, [14 + 2 * k for k in range(16)]),
    (10., 20, [20 + round(k * 4 / 3) for k in range(-8, 8)]),
    (59.94, 120, [120 + round(k * 4 * 59.94 / 30) for k in range(-8, 8)]),
])
def test_other_frame_rates(fps, center, want):
    assert inds(sample(center, fps=fps), 16, 4) == want
    native = inds(sample(center, fps=fps), 16, 4, sample_fps=None)
    assert native == [max(center + 4 * k, 0) for k in range(-8, 8)]


def test_borders_and_start_index():
    assert inds(sample(2, 5), 4, 2) == [0, 0, 2, 4]
    assert inds(sample(4, 5), 4, 2) == [0, 2, 4, 4]
    assert inds(sample(0, 1), 3, 2) == [0, 0, 0]
    # Numbers of files; start_index counts once.
    assert inds(sample(2, 5, start_index=1), 4, 2) == [1, 1, 3, 5]


@pytest.mark.parametrize('fps, interval, reach', [(30., 4, 2), (60., 4, 4),
                                                  (30., 3, 1), (25., 4, 1),
                                                  (30., 1, 0)])
def test_perturbation(fps, interval, reach):
    plain = np.asarray(inds(sample(1000, fps=fps), 16, interval))
    transform = SampleKeyframeClip(16, interval, perturb=True)
    moves = []
    for seed in range(300):
        with seeded(seed):
            got = transform(sample(1000, fps=fps))['frame_inds']
            near = transform(sample(0, 6))['frame_inds']
        assert near.min() >= 0 and near.max() <= 5
        assert (np.diff(got) >= 0).all()
        moves.append(got - plain)
    moves = np.stack(moves)
    assert moves[:, 0].min() == 0 and moves[:, 0].max() == reach
    assert moves[:, -1].min() == -reach and moves[:, -1].max() == 0
    assert (moves[:, 1:-1].min(0) == -reach).all()
    assert (moves[:, 1:-1].max(0) == reach).all()
    # Every value is about equally likely.
    inner = moves[:, 1:-1]
    shares = [(inner == m).mean() for m in range(-reach, reach + 1)]
    np.testing.assert_allclose(shares, 1 / (2 * reach + 1), atol=0.04)


@pytest.mark.parametrize('length, expected', [
    (300, (10, 19)), (15, (10, 14)), (5, (4, 4))])
def test_a_segment_of_a_file_that_may_be_too_short(length, expected):
    results = TrimToSegment()(dict(segment_frames=(10, 19),
                                   total_frames=length, video_reader=object()))
    assert results['segment_frames'] == expected
    assert results['start_index'] == expected[0]
    assert results['total_frames'] == expected[1] - expected[0] + 1
    sample = dict(segment_frames=(10, 19), first_number=1, total_frames=10,
                  start_index=11)
    assert TrimToSegment()(dict(sample)) == sample
    with pytest.raises(KeyError, match='EpicDataset'):
        TrimToSegment()(dict(total_frames=3))
