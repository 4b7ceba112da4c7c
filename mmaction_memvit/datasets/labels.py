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
    """Rows, int64 (N, ), what started last first, then what stops first.

    Of segments with equal starts and stops the earlier row comes first.
    """
    return np.lexsort((np.arange(len(starts)), stops, -np.asarray(starts)))


def shared_time(spans: np.ndarray, segments: np.ndarray, min_share: float
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of spans and segments that share enough time, by segments.

    ``spans`` (C, 2) and ``segments`` (S, 2) are starts and ends in seconds.
    Those of spans do not descend, and are NaN for spans that have no label.
    ``min_share``, in (0, 1], says how much of the span, or of the segment,
    must be shared. The result are spans, segments and shared seconds.
    """
    if not 0 < min_share <= 1:
        raise ValueError(f'min_overlap={min_share} must be above 0 and at '
                         'most 1')
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
    """The segment that labels every span, int64 (C, ), -1 for none.

    Arguments are those of :func:`shared_time`, the preferred segments first.
    """
    chosen = np.full(len(spans), -1)
    found, rows, shared = shared_time(spans, segments, min_share)
    # The last one written stays: the greatest share, then the first segment.
    best = np.lexsort((-rows, shared))
    chosen[found[best]] = rows[best]
    return chosen


def choose_by_time(instants: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The segment that is going on at instants (T, ), int64, -1 for none.

    A segment, the preferred ones first, goes on from its start, inclusive, to
    its stop, exclusive; instants are seconds, NaN for none.
    """
    if not len(segments):
        return np.full(len(instants), -1)
    instants = np.asarray(instants)[:, None]
    active = ((instants >= segments[:, 0] - SAME_TIME)
              & (instants < segments[:, 1] - SAME_TIME))
    return np.where(active.any(1), active.argmax(1), -1)
