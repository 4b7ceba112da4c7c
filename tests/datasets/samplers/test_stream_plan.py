# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import Counter

import numpy as np
import pytest
from helpers.calls import count_calls
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_memvit.datasets.samplers.stream_plan import (
    can_split,
    count_train_steps,
    index_streams,
    limit_streams,
    plan_evaluation,
    plan_train_epoch,
)


def make_keys(lengths, seed=None, hole=1):
    """Clips of videos of given lengths, in shuffled order if seeded."""
    keys = [(f'video_{v}', hole * p) for v, length in enumerate(lengths)
            for p in range(length)]
    if seed is not None:
        np.random.default_rng(seed).shuffle(keys)
    return [(str(v), int(p)) for v, p in keys]


def next_clip(keys):
    """The clip after each clip in its video; None after the last."""
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    following = dict.fromkeys(order)
    for a, b in zip(order, order[1:]):
        if keys[a][0] == keys[b][0]:
            following[a] = b
    return following


lengths_st = st.lists(st.integers(1, 12), min_size=1, max_size=40)
some = settings(max_examples=60, deadline=None)


@st.composite
def training_case(draw):
    """Videos and lanes such that every lane can have a video."""
    world_size = draw(st.integers(1, 4))
    batch_size = draw(st.integers(1, 4))
    num_lanes = world_size * batch_size
    lengths = draw(st.lists(st.integers(1, 12), min_size=num_lanes,
                            max_size=num_lanes + 25))
    keys = make_keys(lengths, draw(st.integers(0, 99)), draw(
        st.integers(1, 3)))
    return lengths, keys, world_size, batch_size, draw(st.integers(0, 10**9))


def plan_all_ranks(keys, seed, epoch, world_size, batch_size, **kwargs):
    streams = index_streams(keys)
    return [
        plan_train_epoch(streams, seed, epoch, rank, world_size, batch_size,
                         **kwargs) for rank in range(world_size)]


@some
@given(training_case(), st.booleans())
def test_training_whole_videos(case, shuffle):
    lengths, keys, world_size, batch_size, seed = case
    steps = count_train_steps(np.array(lengths), world_size * batch_size)
    first = {i for i, (_, position) in enumerate(keys) if position == 0}
    following = next_clip(keys)
    for epoch in (0, 1, 7):
        plans = plan_all_ranks(keys, seed, epoch, world_size, batch_size,
                               shuffle=shuffle)
        # One length on all ranks and epochs.
        assert {p.shape for p in plans} == {(steps, batch_size)}
        # Every clip appears, and the fullest lane repeats none.
        assert shuffle or max(len(set(lane)) for p in plans
                              for lane in p.T.tolist()) == steps
        assert set(np.concatenate(plans).ravel()) == set(range(len(keys)))
        # A lane goes on to the next clip, at its end to a first one.
        for lane in np.concatenate(plans, axis=1).T.tolist():
            assert lane[0] in first
            for a, b in zip(lane, lane[1:]):
                assert b == following[a] or (following[a] is None
                                             and b in first)


@some
@given(training_case())
def test_training_pads_without_disturbing_other_lanes(case):
    lengths, keys, world_size, batch_size, seed = case
    plans = plan_all_ranks(keys, seed, 3, world_size, batch_size)
    places = sum(p.size for p in plans)
    # No video is ever in two lanes.
    lanes = np.concatenate(plans, axis=1).T
    owners = Counter(v for lane in lanes for v in {keys[i][0] for i in lane})
    assert set(owners.values()) == {1}
    # Greedy dealing is never worse than this known bound.
    num_lanes = world_size * batch_size
    assert places <= len(keys) + max(lengths) * (num_lanes - 1)


@some
@given(training_case(), st.booleans())
def test_training_split_videos(case, shuffle):
    lengths, keys, world_size, batch_size, seed = case
    num_lanes = world_size * batch_size
    following = next_clip(keys)
    steps = count_train_steps(np.array(lengths), num_lanes, True)
    plans = plan_all_ranks(keys, seed, 2, world_size, batch_size,
                           shuffle=shuffle, split_videos=True)
    assert {p.shape for p in plans} == {(steps, batch_size)}
    assert set(np.concatenate(plans).ravel()) == set(range(len(keys)))
    if can_split(np.array(lengths), num_lanes):
        assert steps == -(-len(keys) // num_lanes)
    lanes = np.concatenate(plans, axis=1)
    for step in range(steps):
        # A video is never in two lanes at one time: its parts would
        # overwrite each other's memory.
        videos = [keys[i][0] for i in lanes[step]]
        assert len(set(videos)) == num_lanes
    # Within a lane a video runs to its end, but for the padding clip.
    for lane in lanes.T.tolist():
        for a, b in zip(lane[:-1], lane[1:-1]):
            assert b == following[a] or (following[a] is None
                                         and keys[b][1] == 0)


@some
@given(lengths_st, st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_evaluation(lengths, world_size, batch_size, seed):
    keys = make_keys(lengths, seed)
    streams = index_streams(keys)
    following = next_clip(keys)
    shown = []
    for rank in range(world_size):
        batches = plan_evaluation(streams, rank, world_size, batch_size)
        sizes = [len(batch) for batch in batches]
        assert sizes == sorted(sizes, reverse=True)
        assert all(1 <= size <= batch_size for size in sizes)
        # A place in the batch keeps its lane, and videos stay whole.
        for place in range(batch_size):
            lane = [batch[place] for batch in batches if place < len(batch)]
            for a, b in zip(lane, lane[1:]):
                assert b == following[a] or (following[a] is None
                                             and keys[b][1] == 0)
            if lane:
                assert keys[lane[0]][1] == 0
                assert following[lane[-1]] is None
        shown += [i for batch in batches for i in batch]
    assert sorted(shown) == list(range(len(keys)))


def test_videos_of_different_lengths_change_company():
    """The same two videos must not share a lane in every epoch."""
    lengths = list(range(20, 80, 2)) + [99] * 3
    keys = make_keys(lengths)
    company = set()
    for epoch in range(5):
        for lane in plan_all_ranks(keys, 0, epoch, 1, 4)[0].T:
            company.add(frozenset(keys[i][0] for i in lane))
    assert len(company) > 15  # about 4 if lanes kept their videos


def test_every_lane_place_gets_its_share_of_padding():
    """The lane with padding must not always be the same one."""
    keys = make_keys([4] * 5)
    padded = set()
    for epoch in range(20):
        plan = plan_all_ranks(keys, 0, epoch, 1, 2)[0]
        padded |= {k for k in range(2) if len(set(plan[:, k])) < len(plan)}
    assert padded == {0, 1}


def test_one_video_longer_than_all_others():
    lengths = [500] + [2] * 7
    plan, = plan_all_ranks(make_keys(lengths), 0, 0, 1, 4)
    assert plan.shape == (500, 4)
    assert len(set(plan.ravel().tolist())) == 514
    # Splitting cannot help: its parts would run at the same time.
    assert not can_split(np.array(lengths), 4)
    assert count_train_steps(np.array(lengths), 4, True) == 500


def test_positions_with_holes_keep_their_order():
    keys = [('b', 930), ('a', 902), ('b', 904), ('a', 905), ('b', 929)]
    streams = index_streams(keys)
    assert streams.names == ['b', 'a']
    assert streams.indices.tolist() == [2, 4, 0, 1, 3]
    videos, positions = streams.by_index()
    assert videos.tolist() == [0, 1, 0, 1, 0]
    assert positions.tolist() == [930, 902, 904, 905, 929]


@some
@given(training_case(), st.integers(1, 6))
def test_pieces_of_long_videos_take_turns(case, max_stream_len):
    lengths, keys, _, _, seed = case
    streams = index_streams(keys)
    shown = set()
    for epoch in range(12):  # As many as a video can have pieces.
        limited = limit_streams(streams, max_stream_len, seed, epoch)
        assert limited.lengths.tolist() == [
            min(length, max_stream_len) for length in streams.lengths.tolist()]
        for video, (start, length) in enumerate(
                zip(limited.starts.tolist(), limited.lengths.tolist())):
            piece = streams.indices[start:start + length].tolist()
            assert {keys[i][0] for i in piece} == {streams.names[video]}
            shown.update(piece)
    assert shown == set(range(len(keys)))


@pytest.mark.parametrize('keys, words', [
    ([], ['0 clips', 'at least 1']),
    ([('a', 0), ('b', 0), ('a', 1), ('a', 0)],
     ['Position 0', "'a'", '0 and 3', 'RepeatDataset']),
    ([('a', 0.5), ('a', 1.0)], ['integer', '0.5']),
    ([('a', '0'), ('a', '1')], ['integer', "'0'"]),
])
def test_bad_keys(keys, words):
    with pytest.raises(ValueError) as error:
        index_streams(keys)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize('lengths', [[1] * 200_000, [10, 30] * 5_000,
                                     [851] * 235])
def test_planning_is_quick(lengths):
    """It calls something once a sample, and for all of them together."""
    keys = make_keys(lengths)

    def plan():
        streams = index_streams(keys)
        count_train_steps(streams.lengths, 64)
        plan_train_epoch(streams, 1, 2, 3, 8, 8)
        plan_evaluation(streams, 3, 8, 8)

    assert count_calls(plan)[1] < len(keys) + 1000
