# Copyright (c) mmaction_memvit contributors. All rights reserved.
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_memvit.datasets.epic_grid import (
    choose_by_share,
    choose_by_time,
    cut_tokens,
    native_frames,
    preference_order,
    seconds_to_segments,
)

RATES = (Fraction(60000, 1001), Fraction(50), Fraction(30000, 1001),
         Fraction(90), Fraction(25))
# Times as annotators give them: multiples of a hundredth.
centi = st.integers(0, 3000)
segment_lists = st.lists(
    st.tuples(centi, st.integers(0, 500)), min_size=0, max_size=8)


def as_arrays(segments):
    starts = np.asarray([s for s, _ in segments], float) / 100
    stops = np.asarray([s + n for s, n in segments], float) / 100
    return starts, stops


@settings(max_examples=200, deadline=None)
@given(step=st.integers(0, 200000), rate=st.sampled_from(RATES))
def test_frame_on_screen_is_never_a_later_one(step, rate):
    """Against exact fractions, at instants of a grid of 30 a second."""
    instant = Fraction(step, 30)
    frame = native_frames(float(instant), float(rate), 10**9)
    assert Fraction(frame) / rate <= instant < Fraction(frame + 1) / rate


def test_frames_outside_of_the_video():
    frames = native_frames(np.array([-3., -.01, 0, 1.99, 2, 9]), 50., 100)
    assert frames.tolist() == [0, 0, 0, 99, 99, 99]
    assert isinstance(native_frames(0.5, 50., 100), int)


def test_cut_tokens():
    assert cut_tokens(1., 2., 4, 9.).tolist() == [[1, 1.5], [1.5, 2],
                                                  [2, 2.5], [2.5, 3]]
    # The end of the video cuts the third token and leaves none of the last.
    times = cut_tokens(1., 2., 4, 2.2)
    np.testing.assert_allclose(times[2], [2, 2.2])
    assert np.isnan(times[3]).all() and np.isfinite(times[:3]).all()
    # So does its start.
    times = cut_tokens(-1.25, 2., 4, 9.)
    assert np.isnan(times[:2]).all()
    np.testing.assert_allclose(times[2:], [[0, .25], [.25, .75]])


def brute_share(time, segments, min_share):
    """The documented rule, segment by segment, in whole hundredths."""
    best = (0, )
    for row, (start, length) in enumerate(segments):
        shared = min(time[1], start + length) - max(time[0], start)
        needed = min(time[1] - time[0], length)
        if shared > 0 and shared >= min_share * needed:
            # Most shared, later start, earlier stop, earlier row.
            best = max(best, (shared, start, -length, -row))
    return -best[3] if len(best) > 1 else -1


@settings(max_examples=300, deadline=None)
@given(
    segments=segment_lists,
    first=centi,
    length=st.integers(1, 100),
    min_share=st.sampled_from((0.01, 0.5, 1.)))
def test_choose_by_share(segments, first, length, min_share):
    starts, stops = as_arrays(segments)
    order = preference_order(starts, stops)
    tokens = [(first + i * length, first + (i + 1) * length)
              for i in range(4)]
    times = np.asarray(tokens) / 100
    chosen = choose_by_share(times, starts[order], stops[order], min_share)
    rows = [order[c] if c >= 0 else -1 for c in chosen]
    assert rows == [brute_share(t, segments, min_share) for t in tokens]


@settings(max_examples=300, deadline=None)
@given(segments=segment_lists, instants=st.lists(centi, max_size=6))
def test_choose_by_time(segments, instants):
    starts, stops = as_arrays(segments)
    order = preference_order(starts, stops)
    chosen = choose_by_time(
        np.asarray(instants, float) / 100, starts[order], stops[order])
    for instant, found in zip(instants, chosen):
        active = [(s, -n, -row) for row, (s, n) in enumerate(segments)
                  if s <= instant < s + n]
        expected = -max(active)[2] if active else -1
        assert (order[found] if found >= 0 else -1) == expected


def test_no_label_for_padding():
    nothing = np.array([[np.nan, np.nan]])
    segment = np.zeros(1), np.full(1, 9.)
    assert choose_by_share(nothing, *segment, 0.5).tolist() == [-1]
    assert choose_by_time(nothing[:, 0], *segment).tolist() == [-1]


@settings(max_examples=200, deadline=None)
@given(segments=segment_lists, first=centi, length=st.integers(0, 300))
def test_seconds_to_segments(segments, first, length):
    starts, stops = as_arrays(sorted(segments))
    begins = first / 100 + np.arange(3.)
    ends = begins + length / 100
    found = seconds_to_segments(begins, ends, starts, stops)
    for begin, end, distance in zip(begins, ends, found):
        gaps = [max(0, begin - b, a - end) for a, b in zip(starts, stops)]
        assert distance == pytest.approx(min(gaps, default=np.inf))
