# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_memvit.datasets.labels import (
    choose_by_share,
    choose_by_time,
    latest_first,
)

# Times as annotators give them: multiples of a hundredth.
centi = st.integers(0, 3000)
segment_lists = st.lists(
    st.tuples(centi, st.integers(0, 500)), min_size=0, max_size=8)


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
@given(
    segments=segment_lists,
    first=centi,
    length=st.integers(1, 100),
    min_share=st.sampled_from((0.01, 0.5, 1.)))
def test_choose_by_share(segments, first, length, min_share):
    times = as_array(segments)
    order = latest_first(*times.T)
    tokens = [(first + i * length, first + (i + 1) * length)
              for i in range(4)]
    chosen = choose_by_share(
        np.asarray(tokens) / 100, times[order], min_share)
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
