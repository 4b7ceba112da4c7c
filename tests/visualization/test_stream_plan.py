# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest

from mmaction_memvit.visualization.stream_plan import (
    format_lanes,
    shorten_names,
    tabulate_lanes,
)

# Index: 0  1  2  3  4  5
VIDEOS = np.array([0, 0, 0, 1, 1, 1])
POSITIONS = np.array([0, 1, 2, 10, 11, 13])


def test_tabulate():
    table = tabulate_lanes([[0, 3], [1, 4], [2, 5], [0]], VIDEOS, POSITIONS, 2)
    assert table.videos.tolist() == [[0, 0, 0, 0], [1, 1, 1, -1]]
    assert table.positions.tolist() == [[0, 1, 2, 0], [10, 11, 13, -1]]
    assert table.starts.tolist() == [[True, False, False, True],
                                     [True, False, True, False]]
    table = tabulate_lanes([[3], [4], [5]], VIDEOS, POSITIONS, 1, max_gap=2)
    assert table.starts.tolist() == [[True, False, False]]


def test_streams_continue_by_identity_not_by_lane():
    table = tabulate_lanes([[0, 3], [4, 1]], VIDEOS, POSITIONS, 2)
    assert not table.starts[:, 1].any()
    # One video twice in a batch: neither continues the other.
    table = tabulate_lanes([[0, 1]], VIDEOS, POSITIONS, 2)
    assert table.starts.all()


def test_format():
    table = tabulate_lanes([[0, 3], [1, 4], [2], [0]], VIDEOS, POSITIONS, 2)
    lines = format_lanes(table, ['a', 'b'], ['one', 'two']).splitlines()
    assert lines == ['     0      1     2    3', 'one  *a:0    :1    :2  *a:0',
                     'two  *b:10   :11   -    -']
    lines = format_lanes(table, ['a', 'b'], ['one', 'two'], 1, 2).splitlines()
    assert lines == ['     1      2', 'one   a:1    :2', 'two   b:11   -']


@pytest.mark.parametrize('names, short', [
    (['x/a.mp4', 'x/b.mp4'], ['a', 'b']),
    (['x/a.mp4', 'y/a.mp4'], ['x/a', 'y/a']),
    (['x/a.mp4', 'x/a.avi'], ['a.mp4', 'a.avi']),
    (['a_very_long_name_1', 'b'], ['a_ver..ame_1', 'b']),
    (['long_1_name_of_a_video', 'long_2_name_of_a_video'],
     ['long_..video', 'long_..vid~1']),
])
def test_shorten(names, short):
    assert shorten_names(names, width=12) == short
    assert all(len(name) <= 12 for name in short)
