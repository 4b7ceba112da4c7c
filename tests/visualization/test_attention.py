# Copyright (c) mmaction_memvit contributors. All rights reserved.
import cv2
import numpy as np
import pytest
from helpers.attention import attended_step as step

from mmaction_memvit.visualization.attention import (
    AttentionPlot,
    AttentionView,
)


def test_the_last_clip_and_what_it_sees():
    view = AttentionView()
    view.add(step(0))
    assert view.now() == [(0., 1.)]
    first = view.strip()
    for number in range(1, 12):
        view.add(step(number, looks_at=4 if number == 11 else None))
    assert view.now() == [pytest.approx(x) for x in (
        (0, 1 / 7), (4, 1 / 7), (8, 4 / 7), (12, 1 / 7))]
    strip = view.strip()
    # Four pictures; ages of 12, 8, 4 and 0 s, from the left.
    assert strip.shape == (first.shape[0], 4 * first.shape[1], 3)
    tiles = np.split(strip, 4, 1)
    middle = [x[:110, x.shape[1] // 2, 0] for x in tiles]
    assert middle[3].tolist() == [110] * 110
    # Bright at the top of the one that is looked at, and dark elsewhere.
    assert middle[1][10] == 70 and middle[1][-10] < 40
    assert max(middle[0].max(), middle[2].max()) < 40


def test_small_differences_are_shown_as_such():
    view, last = AttentionView(), step(6)
    last.attention.heat[1:] = 1.
    last.attention.heat[1] += 0.05
    last.attention.picture[:] = 200
    for _ in range(7):
        view.add(last)
    tiles = np.split(view.strip(), 4, 1)
    bright = [int(x[50, x.shape[1] // 2, 0]) for x in tiles]
    assert bright[2:] == [200, 200]
    assert bright[0] == bright[1] and 188 < bright[0] < 195


def test_plot_shows_the_moments_that_stand_out(tmp_path, monkeypatch):
    plot = AttentionPlot(num_moments=1)
    taken = []
    strip = AttentionPlot.strip
    monkeypatch.setattr(
        AttentionPlot, 'strip',
        lambda self: taken.append(self.now()[0]) or strip(self))
    for number in range(40):
        plot.add(step(number, looks_at=6 if number == 31 else None))
    # While the memory fills and, later, the one that is unlike the others.
    assert 1 < len(taken) < 15 and plot.now()[0][1] == 0.25
    (_, start, _), = plot._moments
    assert start == 62
    plot.plot(str(tmp_path / 'a.png'), 'a title')
    image = cv2.imread(str(tmp_path / 'a.png'))
    assert image.shape[1] == 1350 and image.std() > 20
    # Nothing came, or one clip.
    empty = AttentionPlot()
    empty.plot(str(tmp_path / 'b.png'))
    empty.add(step(0))
    empty.plot(str(tmp_path / 'c.png'))
