# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import namedtuple

import av
import cv2
import numpy as np
import pytest
import torch

from mmaction_memvit.video.live import LiveSource
from mmaction_memvit.visualization.online_outputs import OnlineOutputs

Step = namedtuple('Step', 'clip start end scores keyframe boxes attention')
NAMES = {'': {0: 'sit', 1: 'stand for a long while'}}


@pytest.fixture
def white(tmp_path):
    """A second of white pictures, 30 of them."""
    (tmp_path / 'white').mkdir()
    for i in range(30):
        cv2.imwrite(str(tmp_path / f'white/{i:02d}.png'),
                    np.full((256, 256, 3), 255, np.uint8))
    return str(tmp_path / 'white')


@pytest.fixture
def outputs(tmp_path):
    return OnlineOutputs(str(tmp_path / 'out'), ['video'], NAMES, 1)


def steps(keyframe=False):
    """The first class for half a second, then the second one."""
    for clip in range(2):
        start = clip / 2
        yield Step(clip, start, start + .5, torch.eye(2)[clip],
                   start + .25 if keyframe else None, None, None)


def widths(outputs):
    """How wide what is written below the time is, by picture."""
    path, = outputs.close()
    with av.open(path) as video:
        images = [x.to_ndarray(format='rgb24') for x in video.decode(video=0)]
    # Bright on dark, on white.
    return np.array([(x[22:34, :, 0] < 128).any(0).sum() for x in images])


@pytest.mark.parametrize('keyframe, first, change', [(False, 0, 15),
                                                     (True, 8, 23)])
def test_labels_stand_on_the_pictures_that_they_are_of(
        white, outputs, keyframe, first, change):
    outputs.open(30., live=False)
    for step in steps(keyframe):
        outputs.add(step, '')
    outputs.draw_file(white, 1.)
    found = widths(outputs)
    assert len(found) == 30
    assert not found[:first].any()
    assert np.ptp(found[first:change]) < 5 > np.ptp(found[change:])
    assert 20 < found[first] < found[change] - 50


def test_a_picture_of_a_stream_has_what_is_known_then(white, outputs):
    outputs.open(30., live=True)
    # A clip is known when it is over.
    known = dict(zip((15, 29), steps()))
    for number, frame in enumerate(LiveSource(white)):
        if number in known:
            outputs.add(known[number], '')
        outputs.draw(frame.image, number / 30)
    found = widths(outputs)
    assert len(found) == 30 and not found[:15].any()
    assert np.ptp(found[15:29]) < 5 and 20 < found[15] < found[29] - 50
