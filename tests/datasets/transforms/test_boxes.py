# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from mmaction.registry import TRANSFORMS
from mmengine.registry import DefaultScope

from mmaction_memvit.datasets.transforms import DropLostBoxes


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


def boxes(*rows):
    return np.asarray(rows, dtype=np.float32).reshape(-1, 4)


def test_lost_boxes_go_with_all_that_belongs_to_them():
    results = dict(
        gt_bboxes=boxes([0, 0, 5, 5], [0, 3, 0, 9], [2, 2, 2.5, 9]),
        gt_labels=np.eye(3, dtype=np.float32),
        entity_ids=np.array([7, 8, 9]),
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
        gt_bboxes=boxes([3, 3, 3, 3]),
        gt_labels=np.ones((1, 3), np.float32),
        proposals=None))
    assert got['gt_bboxes'].shape == (0, 4)
    assert got['gt_labels'].shape == (0, 3)


def spot(box, height=64, width=96):
    """An image in which just the box is white."""
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = (int(v) for v in box)
    image[y1:y2, x1:x2] = 255
    return image


AUGMENT = [
    dict(type='RandomRescale', scale_range=(64, 96)),
    dict(type='RandomCrop', size=56),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='DropLostBoxes'),
]


def test_boxes_move_with_images_and_alike_in_a_video():
    augment = TRANSFORMS.build(
        dict(type='PerVideoAugment', transforms=AUGMENT))
    box = [30, 20, 60, 44]
    seen, lost = {}, 0
    for video in range(12):
        for clip in range(3):
            results = augment(
                dict(
                    imgs=[spot(box)] * 2,
                    img_shape=(64, 96),
                    modality='RGB',
                    video_id=str(video),
                    timestamp=clip,
                    epoch=0,
                    # How many boxes there are must not change what is drawn.
                    gt_bboxes=boxes(*[box] * (clip + 1), [0, 0, 4, 4]),
                    gt_labels=np.ones((clip + 2, 3), np.float32),
                    entity_ids=np.arange(clip + 2),
                    proposals=boxes(box)))
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


def test_colour_jitter_takes_a_clip_with_boxes():
    jitter = TRANSFORMS.build(
        dict(
            type='ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1))
    image = np.random.RandomState(0).randint(0, 255, (8, 8, 3), np.uint8)
    np.random.seed(0)
    for _ in range(10):
        got = jitter(dict(imgs=[image] * 3, gt_bboxes=boxes([1, 1, 4, 4])))
        assert all(x.dtype == np.uint8 and x.shape == (8, 8, 3)
                   for x in got['imgs'])
        # One draw for the clip.
        np.testing.assert_array_equal(got['imgs'][0], got['imgs'][2])
        assert (got['imgs'][0] != image).any()
        assert got['gt_bboxes'].tolist() == [[1, 1, 4, 4]]
