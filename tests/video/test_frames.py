# Copyright (c) mmaction_memvit contributors. All rights reserved.
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_memvit.video.frames import Clock, pack

RATES = (Fraction(60000, 1001), Fraction(50), Fraction(30000, 1001),
         Fraction(90), Fraction(25))


@settings(max_examples=200, deadline=None)
@given(step=st.integers(0, 200000), rate=st.sampled_from(RATES))
def test_frame_on_screen_is_never_a_later_one(step, rate):
    """Against exact fractions, at instants of a grid of 30 a second."""
    instant = Fraction(step, 30)
    frame = Clock(dict(fps=float(rate), num_frames=10**9)).frame_at(
        float(instant))
    assert Fraction(frame) / rate <= instant < Fraction(frame + 1) / rate


@given(st.integers(0, 3000), st.integers(0, 500),
       st.sampled_from([59.9400599400599, 50., 29.97002997002997, 30.]))
def test_frames_of_a_segment(first, length, fps):
    start, stop = first / 100, (first + length) / 100
    first, last = Clock(dict(fps=fps, num_frames=9**9)).frames_within(
        start, stop)
    # Frame i is shown from i / fps to (i + 1) / fps.
    small = 1e-5
    assert first / fps <= start + small < (first + 1) / fps + 2 * small
    assert last >= first
    if length:
        assert last / fps < stop + small
        assert (last + 1) / fps >= stop - small
    else:
        assert last == first
    clock = Clock(dict(fps=fps, num_frames=100))
    assert clock.frames_within(start, stop) == (min(first, 99), min(last, 99))


def test_frames_are_not_lost_to_rounding():
    # 0.29 * 100 is 28.999999999999996, 0.07 * 100 is 7.000000000000001.
    clock = Clock(dict(fps=100, num_frames=99))
    assert clock.frames_within(0.29, 0.57) == (29, 56)
    assert clock.frames_within(0.07, 0.07) == (7, 7)
    assert clock.frame_at(1.29 - 1) == 29
    # Nothing later is observed.
    clock = Clock(dict(fps=50, num_frames=999))
    assert [clock.frame_at(x - 1.) for x in (3., 3.019, 3.02, 1.)] == [
        100, 100, 101, 0]


def test_a_clock_of_uneven_frames():
    """Pictures from second 2 on, one a second, then four."""
    ticks = np.array([8, 12, 16, 17, 18, 19])
    entry = dict(num_frames=6, fps=1.5, width=8, height=8, start=2.,
                 time_drift=2., table=dict(time_base=[1, 4], zero=0.,
                                           times=pack(ticks), keys=[0, 0, 1]))
    clock = Clock(dict(num_frames=6, fps=1.5, frame_table=entry))
    assert clock.frame_at(np.array([0, 2.9, 3, 4.2, 4.3, 99])).tolist() == [
        0, 0, 1, 2, 3, 5]
    assert clock.seconds_at(np.arange(6)).tolist() == (ticks / 4).tolist()
    assert clock.end == pytest.approx(4.75 + 1 / 1.5)
    assert clock.frames_within(3.5, 4.5) == (1, 3)
    assert clock.frames_within(4.5, 4.5) == (4, 4)
