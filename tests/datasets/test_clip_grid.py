# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.datasets.clip_grid import ClipGrid


def clips(grid, num_frames):
    return [
        tuple(int(x) for x in grid.frame_range(p, num_frames))
        for p in range(grid.num_clips(num_frames))
    ]


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
    clip_len=st.integers(1, 20),
    interval=st.integers(1, 6),
    stride=st.integers(1, 60) | st.none(),
    last_clip=st.sampled_from(['pad', 'drop']),
    num_frames=st.integers(1, 500))
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


@pytest.mark.parametrize('kwargs, match', [
    (dict(clip_len=0), 'clip_len=0 must be a whole number of at least 1'),
    (dict(frame_interval=-1), 'frame_interval=-1'),
    (dict(clip_stride=0), 'clip_stride=0'),
    (dict(clip_stride=1.5), 'clip_stride=1.5'),
    (dict(last_clip='keep'), "last_clip='keep'.*'pad' or 'drop'"),
])
def test_errors(kwargs, match):
    with pytest.raises(ValueError, match=match):
        ClipGrid(**{'clip_len': 4, 'frame_interval': 2, **kwargs})
