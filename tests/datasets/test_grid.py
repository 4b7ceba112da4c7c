# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_memvit.datasets.grid import (
    ClipGrid,
    KeyframeGrid,
    choose_by_share,
    cut_tokens,
    latest_first,
    seconds_to_segments,
)
from mmaction_memvit.video.frames import Clock, choose_by_time, pack

# Times as annotators give them: multiples of a hundredth.
centi = st.integers(0, 3000)
segment_lists = st.lists(
    st.tuples(centi, st.integers(0, 500)), min_size=0, max_size=8)


def clips(grid, num_frames):
    return [tuple(int(x) for x in grid.frame_range(p, num_frames))
            for p in range(grid.num_clips(num_frames))]


def test_by_hand():
    grid = ClipGrid(4, 2)
    assert grid.span == grid.clip_stride == 8
    assert clips(grid, 16) == [(0, 7), (8, 15)]
    # One frame is less than a step: that clip would show nothing new.
    assert clips(grid, 17) == [(0, 7), (8, 15)]
    assert clips(grid, 18) == [(0, 7), (8, 15), (16, 17)]
    np.testing.assert_array_equal(grid.frame_inds(1, 18), [8, 10, 12, 14])
    np.testing.assert_array_equal(grid.frame_inds(2, 19), [16, 18, 18, 18])
    drop = ClipGrid(4, 2, last_clip='drop')
    assert clips(drop, 18) == [(0, 7), (8, 15)]
    assert drop.num_left_out(18) == 2 and grid.num_left_out(18) == 0
    overlap = ClipGrid(4, 2, clip_stride=3)
    assert clips(overlap, 14) == [(0, 7), (3, 10), (6, 13)]
    assert clips(overlap, 16) == [(0, 7), (3, 10), (6, 13), (9, 15)]
    sparse = ClipGrid(2, 1, clip_stride=5)
    assert clips(sparse, 10) == [(0, 1), (5, 6)]
    assert clips(sparse, 11) == [(0, 1), (5, 6), (10, 10)]
    assert clips(grid, 3) == [(0, 2)]


@given(
    clip_len=st.integers(1, 20), interval=st.integers(1, 6),
    stride=st.integers(1, 60) | st.none(),
    last_clip=st.sampled_from(['pad', 'drop']), num_frames=st.integers(1, 500))
def test_properties(clip_len, interval, stride, last_clip, num_frames):
    grid = ClipGrid(clip_len, interval, stride, last_clip)
    ranges = clips(grid, num_frames)
    left_out = grid.num_left_out(num_frames)
    firsts = [a for a, _ in ranges]
    assert firsts == [p * grid.clip_stride for p in range(len(ranges))]
    assert all(a <= b < num_frames for a, b in ranges)
    for position, (first, last) in enumerate(ranges):
        inds = grid.frame_inds(position, num_frames)
        assert inds.shape == (clip_len, ) and inds.dtype == np.int64
        assert inds[0] == first and inds[-1] <= last
        assert (np.diff(inds)[:-1] >= np.diff(inds)[1:]).all()
        assert set(np.diff(inds)) <= set(range(interval + 1))
    if grid.clip_stride <= grid.span:
        # Nothing is lost but, at the end, less than a step or what was asked
        # to be dropped.
        covered = {i for a, b in ranges for i in range(a, b + 1)}
        assert covered == set(range(num_frames - left_out))
        if last_clip == 'pad':
            assert left_out < interval
    if last_clip == 'drop' and num_frames >= grid.span:
        assert all(b - a + 1 == grid.span for a, b in ranges)


@pytest.mark.parametrize('kwargs', [
    dict(clip_len=0), dict(frame_interval=-1), dict(clip_stride=1.5),
    dict(last_clip='keep')])
def test_errors(kwargs):
    name, value = *kwargs, *kwargs.values()
    with pytest.raises(ValueError, match=f'{name}={value!r}'):
        ClipGrid(**{'clip_len': 4, 'frame_interval': 2, **kwargs})


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


@settings(max_examples=200, deadline=None)
@given(segments=segment_lists, first=centi, length=st.integers(0, 300))
def test_seconds_to_segments(segments, first, length):
    starts = np.asarray([s for s, _ in segments], float) / 100
    stops = np.asarray([s + n for s, n in segments], float) / 100
    begins = first / 100 + np.arange(3.)
    ends = begins + length / 100
    found = seconds_to_segments(begins, ends, starts, stops)
    for begin, end, distance in zip(begins, ends, found):
        gaps = [max(0, begin - b, a - end) for a, b in zip(starts, stops)]
        assert distance == pytest.approx(min(gaps, default=np.inf))


@given(start=st.integers(-5, 5), rate=st.sampled_from([1, 2, 0.5, 'frames']),
       fps=st.sampled_from([10., 29.97, 60.]), num_frames=st.integers(1, 900))
def test_last_keyframe_of_a_video(start, rate, fps, num_frames):
    grid = KeyframeGrid(start, None, rate)
    clock = Clock(dict(fps=fps, num_frames=num_frames))
    assert grid.frame_of(start, clock) == 0
    last = grid.last(clock)
    assert grid.frame_of(last, clock) < num_frames <= grid.frame_of(
        last + 1, clock)


def test_keyframes_of_a_video_of_uneven_frames():
    """Pictures from second 2 on, one a second, then four."""
    ticks = np.array([8, 12, 16, 17, 18, 19])
    entry = dict(num_frames=6, fps=1.5, width=8, height=8, start=2.,
                 time_drift=2., table=dict(time_base=[1, 4], zero=0.,
                                           times=pack(ticks), keys=[0, 0, 1]))
    clock = Clock(dict(num_frames=6, fps=1.5, frame_table=entry))
    grid = KeyframeGrid(900)
    times = np.array([900, 902, 903, 904, 905, 906])
    assert grid.frame_of(times, clock).tolist() == [0, 0, 1, 2, 5, 6]
    assert grid.last(clock) == 905


# -- labels -----------------------------------------------------------------


def as_array(segments):
    """Start and end in seconds."""
    return np.asarray([(s, s + n) for s, n in segments],
                      float).reshape(-1, 2) / 100


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
@given(segments=segment_lists, first=centi, length=st.integers(1, 100),
       min_share=st.sampled_from((0.01, 0.5, 1.)))
def test_choose_by_share(segments, first, length, min_share):
    times = as_array(segments)
    order = latest_first(*times.T)
    tokens = [(first + i * length, first + (i + 1) * length) for i in range(4)]
    chosen = choose_by_share(np.asarray(tokens) / 100, times[order], min_share)
    rows = [order[c] if c >= 0 else -1 for c in chosen]
    assert rows == [brute_share(t, segments, min_share) for t in tokens]


@settings(max_examples=300, deadline=None)
@given(segments=segment_lists, instants=st.lists(centi, max_size=6))
def test_choose_by_time(segments, instants):
    times = as_array(segments)
    order = latest_first(*times.T)
    chosen = choose_by_time(np.asarray(instants, float) / 100, times[order])
    for instant, found in zip(instants, chosen):
        active = [(s, -n, -row) for row, (s, n) in enumerate(segments)
                  if s <= instant < s + n]
        expected = -max(active)[2] if active else -1
        assert (order[found] if found >= 0 else -1) == expected


def test_no_label_for_padding():
    spans = np.array([[np.nan, np.nan], [1, 2], [np.nan, np.nan]])
    segment = np.array([[0., 9.]])
    assert choose_by_share(spans, segment, 0.5).tolist() == [-1, 0, -1]
    assert choose_by_time(spans[:, 0], segment).tolist() == [-1, 0, -1]


def test_of_equal_ones_the_first_in_the_order_given_counts():
    spans, segments = np.array([[1., 2.]]), np.array([[0., 2.], [1., 4.]])
    for order in ([0, 1], [1, 0]):
        assert choose_by_share(spans, segments[order], 0.5).tolist() == [0]
        assert choose_by_time(spans[:, 0], segments[order]).tolist() == [0]
