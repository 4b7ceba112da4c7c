# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest

from mmaction_memvit.visualization.stream_plan import (
    draw_lanes,
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
    assert lines == [
        '     0      1     2    3',
        'one  *a:0    :1    :2  *a:0',
        'two  *b:10   :11   -    -',
    ]
    lines = format_lanes(table, ['a', 'b'], ['one', 'two'], 1, 2).splitlines()
    assert lines == [
        '     1      2',
        'one   a:1    :2',
        'two   b:11   -',
    ]


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


def test_draw(tmp_path, monkeypatch):
    pytest.importorskip('matplotlib')
    from matplotlib.axes import Axes
    bars, texts, marks = [], [], []
    barh, text, plot = Axes.barh, Axes.text, Axes.plot
    monkeypatch.setattr(
        Axes, 'barh', lambda self, y, width, left, **kwargs: bars.append(
            (y, left, width, kwargs['color'])) or barh(
                self, y, width, left=left, **kwargs))
    monkeypatch.setattr(
        Axes, 'text', lambda self, *args, **kwargs: texts.append(args[2]) or
        text(self, *args, **kwargs))
    monkeypatch.setattr(
        Axes, 'plot', lambda self, x, y, **kwargs: marks.append(x[0]) or plot(
            self, x, y, **kwargs))
    table = tabulate_lanes([[0, 3], [1, 4], [2], [0]], VIDEOS, POSITIONS, 2)
    draw_lanes(table, ['a', 'b'], ['one', 'two'], str(tmp_path / 'all.png'))
    assert [bar[:3] for bar in bars] == [(0, 0, 3), (0, 3, 1), (1, 0, 2)]
    assert bars[0][3] == bars[1][3] != bars[2][3]
    assert texts == ['a', 'a', 'b']
    assert marks == [0, 3, 0]
    assert (tmp_path / 'all.png').stat().st_size > 1000
    # Of a part that begins within a stream, no memory starts at its left.
    bars.clear(), marks.clear()
    draw_lanes(table, ['a', 'b'], ['one', 'two'], str(tmp_path / 'part.png'),
               1, 2)
    assert [bar[:3] for bar in bars] == [(0, 1, 2), (1, 1, 1)]
    assert marks == []
