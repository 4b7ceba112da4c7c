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
        ['0.30 class 4']]
    assert label_boxes(scores[:1], NAMES, max_labels=2, show_scores=False) == [
        ['class 4', 'sit', 'and 2 more']]
    assert label_boxes(np.zeros((0, 5)), NAMES) == []


def test_boxes_are_where_they_belong():
    box = np.array([[.125, .25, .25, .5]])
    truth = box, np.array([[0, 0, 1, 0]])
    found = np.r_[box, [[.5, .5, .75, .75]]], np.array([[0, .9, .2, .1]] * 2)
    image = draw_detections(GRAY, NAMES, truth, found, title='a,0902')
    assert image.shape == (480, 640, 3) and image.dtype == np.uint8
    assert (GRAY == 100).all()

    def near(x, y, color):
        """Share of a box's right edge that has the color somewhere."""
        edge = image[y:y + 60, x - 4:x + 5].astype(int)
        return (np.abs(edge - color).max(-1) < 80).any(1).mean()

    # Of equal boxes both are seen.
    assert near(160, 170, TRUTH_COLOR) > .9
    assert near(160, 170, FOUND_COLOR) > .9
    assert near(480, 290, FOUND_COLOR) > .9
    assert near(480, 290, TRUTH_COLOR) == 0
    # Far from boxes and texts nothing is changed.
    assert (image[420:, 10:300] == 100).all()


def test_boxes_in_pixels():
    with pytest.raises(ValueError, match='shares'):
        draw_detections(GRAY, NAMES, (
            np.array([[9., 9, 200, 100]]), np.zeros((1, 4))))
