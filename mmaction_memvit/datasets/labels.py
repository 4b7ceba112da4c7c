# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which annotated segment is the label of a span of time: one rule.

The label of a span is the segment that it shares most time with, provided
that this is a given share of the span or of the segment. Where several are
equally good, the first in the order given counts: that of the list for lists
of segments, :func:`latest_first` for EPIC-KITCHENS-100.
"""
import numpy as np

from .grid import SAME_TIME

# Shared seconds are compared to so many decimals, those of SAME_TIME: half a
# clip exactly must count as half a clip, and equal shares as equal.
_DECIMALS = 6


def latest_first(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Order of preference: what started last, then what stops first.

    Args:
        starts (np.ndarray): Seconds, (N, ).
        stops (np.ndarray): Seconds, (N, ).

    Returns:
        np.ndarray: Rows, int64 (N, ); of equal ones the earlier row first.
    """
    return np.lexsort((np.arange(len(starts)), stops, -np.asarray(starts)))


def shared_time(spans: np.ndarray, segments: np.ndarray, min_share: float
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which spans share enough time with which segments.

    Args:
        spans (np.ndarray): Start and end in seconds, (C, 2), neither of them
            descending; NaN for spans that have no label.
        segments (np.ndarray): Start and end in seconds, (S, 2).
        min_share (float): How much of the span, or of the segment, must be
            shared, in (0, 1].

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: Spans, segments and seconds
        that they share, one entry a pair, by segments.
    """
    known = np.flatnonzero(np.isfinite(spans).all(1))
    start, end = spans[known].T
    # Only spans that overlap a segment: both ends increase.
    low = np.searchsorted(end, segments[:, 0], 'right')
    high = np.maximum(low, np.searchsorted(start, segments[:, 1], 'left'))
    sizes = high - low
    rows = np.repeat(np.arange(len(segments)), sizes)
    own = low[rows] + np.arange(len(rows)) - np.repeat(
        np.cumsum(sizes) - sizes, sizes)
    begin, stop = segments[rows].T
    shared = np.minimum(end[own], stop) - np.maximum(start[own], begin)
    needed = np.minimum(end[own] - start[own], stop - begin)
    shared = shared.round(_DECIMALS)
    enough = (shared > 0) & (shared >= (min_share * needed).round(_DECIMALS))
    return known[own[enough]], rows[enough], shared[enough]


def choose_by_share(spans: np.ndarray, segments: np.ndarray,
                    min_share: float) -> np.ndarray:
    """Which segment is the label of every span.

    Args:
        spans (np.ndarray): As in :func:`shared_time`.
        segments (np.ndarray): Likewise, the preferred ones first.
        min_share (float): Likewise.

    Returns:
        np.ndarray: Segments, int64 (C, ); -1 where none shares enough.
    """
    chosen = np.full(len(spans), -1)
    found, rows, shared = shared_time(spans, segments, min_share)
    # The last one written stays: the greatest share, then the first segment.
    best = np.lexsort((-rows, shared))
    chosen[found[best]] = rows[best]
    return chosen


def choose_by_time(instants: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Which segment is going on at some instants.

    Args:
        instants (np.ndarray): Seconds, (T, ), NaN for none.
        segments (np.ndarray): Start and end in seconds, (S, 2), the preferred
            ones first.

    Returns:
        np.ndarray: Segments, int64 (T, ); -1 where there is none. A segment
        goes on from its start, inclusive, to its stop, exclusive.
    """
    if not len(segments):
        return np.full(len(instants), -1)
    instants = np.asarray(instants)[:, None]
    active = ((instants >= segments[:, 0] - SAME_TIME)
              & (instants < segments[:, 1] - SAME_TIME))
    return np.where(active.any(1), active.argmax(1), -1)
