# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest

from mmaction_memvit.visualization.detections import (
    FOUND_COLOR,
    TRUTH_COLOR,
    draw_detections,
    label_boxes,
)

NAMES = {1: 'stand', 2: 'sit', 3: 'wave'}
GRAY = np.full((240, 320, 3), 100, np.uint8)


def test_labels_of_boxes():
    scores = np.array([[.9, .4, .7, .7, .95], [0, .1, .2, .3, .0],
                       [1, 0, 0, 0, .3001]])
    scores[:, 0] = 0
    assert label_boxes(scores, NAMES, 0.3) == [
        ['0.95 class 4', '0.70 sit', '0.70 wave', '0.40 stand'], [],
        ['0.30 class 4']
    ]
    assert label_boxes(scores[:1], NAMES, max_labels=2, show_scores=False) == [
        ['class 4', 'sit', 'and 2 more']]
    assert label_boxes(np.zeros((0, 5)), NAMES) == []


def test_boxes_are_where_they_belong():
    truth = np.array([[.125, .25, .25, .5]]), np.array([[0, 0, 1, 0]])
    found = np.array([[.5, .5, .75, .75]]), np.array([[0, .9, .2, .1]])
    image = draw_detections(
        GRAY, NAMES, truth, found, title='a,0902', min_side=1)
    assert image.shape == (264, 320, 3) and image.dtype == np.uint8

    def near(box, color):
        """Share of the box's outline that has the color."""
        x1, y1, x2, y2 = box
        outline = np.concatenate([image[y1:y2, x1 - 1:x1 + 2],
                                  image[y1:y2, x2 - 1:x2 + 2]]).astype(int)
        return (np.abs(outline - color).max(-1) < 80).any(1).mean()

    place = (40, 24 + 60, 80, 24 + 120)
    assert near(place, TRUTH_COLOR) > .9 and near(place, FOUND_COLOR) == 0
    place = (160, 24 + 120, 240, 24 + 180)
    assert near(place, TRUTH_COLOR) == 0
    # Dashed.
    assert .3 < near(place, FOUND_COLOR) < .9
    # Far from boxes and texts nothing is changed.
    assert (image[220:250, 10:100] == 100).all()


def test_small_images_are_enlarged():
    assert draw_detections(GRAY, NAMES).shape == (504, 640, 3)
    large = np.zeros((500, 600, 3), np.uint8)
    assert draw_detections(large, NAMES).shape == (524, 600, 3)


def test_no_boxes_and_boxes_that_leave_the_image():
    empty = np.zeros((0, 4)), np.zeros((0, 4))
    blank = draw_detections(GRAY, NAMES, min_side=1)
    np.testing.assert_array_equal(
        draw_detections(GRAY, NAMES, empty, empty, min_side=1), blank)
    outside = np.array([[-.1, -.1, 1.2, 1.2], [.5, .5, .5, .5]])
    drawn = draw_detections(GRAY, NAMES, (outside, np.eye(4)[:2]), min_side=1)
    assert drawn.shape == blank.shape and (drawn != blank).any()
    # A formula's sign in a name is a sign like others.
    draw_detections(GRAY, {1: '$ a_ $'}, (outside, np.eye(4)[:2]), min_side=1)


def test_boxes_in_pixels():
    with pytest.raises(ValueError, match='shares'):
        draw_detections(GRAY, NAMES, (
            np.array([[9., 9, 200, 100]]), np.zeros((1, 4))))
