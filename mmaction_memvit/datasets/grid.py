# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where samples of videos are and what labels them: pure arithmetic.

The label of a span of time is the segment that it shares most time with,
provided that this is a given share of the span or of the segment. Where
several are equally good, the first in the order given counts: that of the
list for lists of segments, :func:`latest_first` for EPIC-KITCHENS-100.
"""
from collections.abc import Sequence
from typing import Optional, Union

import numpy as np

from ..messages import check_choice, check_whole
from ..video.frames import SAME_TIME, Clock, Numbers

# Shared seconds are compared to so many decimals, those of SAME_TIME: half a
# clip exactly must count as half a clip, and equal shares as equal.
_DECIMALS = 6


class ClipGrid:
    """Consecutive clips of a video, as arithmetic on frame numbers.

    Clip ``p`` stands for the ``span = clip_len * frame_interval`` frames from
    ``p * clip_stride`` on; of these every ``frame_interval``-th is sampled.
    The options are those of :class:`OnlineVideoDataset`.
    """

    def __init__(self, clip_len: int, frame_interval: int,
                 clip_stride: Optional[int] = None,
                 last_clip: str = 'pad') -> None:
        self.clip_len = check_whole('clip_len', clip_len)
        self.frame_interval = check_whole('frame_interval', frame_interval)
        self.span = clip_len * frame_interval
        self.clip_stride = self.span if clip_stride is None else \
            check_whole('clip_stride', clip_stride)
        check_choice('last_clip', last_clip, ('pad', 'drop'))
        self.last_clip = last_clip

    def num_clips(self, num_frames: int) -> int:
        """Number of clips of a video of so many frames, at least one."""
        full = max(0, (num_frames - self.span) // self.clip_stride + 1)
        if full == 0:
            return 1
        begin = max(full * self.clip_stride, self._covered(full))
        rest = num_frames - begin >= self.frame_interval
        return full + int(rest and self.last_clip == 'pad')

    def plan(self, lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Video and position of clips, int32, by frames of each video."""
        counts = np.asarray([self.num_clips(n) for n in lengths])
        video = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        position = np.arange(len(video)) - (np.cumsum(counts) - counts)[video]
        return video, position.astype(np.int32)

    def num_left_out(self, num_frames: int) -> int:
        """Number of frames after the last clip."""
        return max(0, num_frames - self._covered(self.num_clips(num_frames)))

    def frame_range(self, positions: Numbers,
                    num_frames: int) -> tuple[Numbers, Numbers]:
        """First and last frame, inclusive, that clips stand for."""
        first = positions * self.clip_stride
        return first, np.minimum(first + self.span, num_frames) - 1

    def frame_inds(self, position: int, num_frames: int) -> np.ndarray:
        """Frames to sample for a clip, int64 (clip_len,), not decreasing."""
        inds = np.arange(self.clip_len, dtype=np.int64) * self.frame_interval
        return np.minimum(position * self.clip_stride + inds, num_frames - 1)

    def _covered(self, num_clips: int) -> int:
        """Number of the frame after the last one of so many clips."""
        return (num_clips - 1) * self.clip_stride + self.span


class KeyframeGrid:
    """Instants of videos that AVA-style annotations name by timestamps.

    Arguments are ``timestamp_start``, ``timestamp_end`` and ``keyframe_rate``
    of :class:`OnlineAVADataset`.
    """

    def __init__(self, start: int = 0, end: Optional[int] = None,
                 rate: Union[float, str] = 1) -> None:
        if end is not None and end < start:
            raise ValueError(f'timestamp_end={end} must not be before '
                             f'timestamp_start={start}')
        if rate != 'frames' and not (isinstance(rate, (int, float))
                                     and rate > 0):
            raise ValueError(f'keyframe_rate={rate!r} must be a number above '
                             "0, timestamps per second, or 'frames'")
        self.start = start
        self.end = end
        self.rate = rate

    def per_second(self, fps: float) -> float:
        """Timestamps per second of a video."""
        return fps if self.rate == 'frames' else self.rate

    def seconds_of(self, timestamp: Numbers, clock: Clock) -> Numbers:
        """Seconds of a timestamp."""
        if self.rate == 'frames':
            return clock.seconds_at(timestamp - self.start)
        return (timestamp - self.start) / self.rate

    def frame_of(self, timestamp: Numbers, clock: Clock) -> Numbers:
        """Frame of a timestamp, from 0; perhaps outside of the video."""
        if self.rate == 'frames':
            return timestamp - self.start
        return clock.nearest(self.seconds_of(timestamp, clock))

    def last(self, clock: Clock) -> int:
        """Greatest timestamp whose frame a video has."""
        if self.rate == 'frames':
            last = self.start + clock.num_frames - 1
        else:
            last = self.start + int(clock.end * self.rate) + 1
        if self.end is not None:
            last = min(last, self.end)
        while self.frame_of(last, clock) >= clock.num_frames:
            last -= 1
        return last

    def steps(self, seconds: float, fps: float) -> int:
        """Timestamps that so many seconds are: a whole number from 1 on."""
        exact = seconds * self.per_second(fps)
        steps = round(exact)
        if steps < 1 or (self.rate != 'frames'
                         and abs(steps - exact) > SAME_TIME):
            raise ValueError(
                f'clip_stride_seconds={seconds} s are {exact:g} timestamps '
                f'at keyframe_rate={self.rate!r}, but must be a whole number '
                'of them, at least 1: clips stand at timestamps')
        return steps


def cut_tokens(start: float, span: float, num_tokens: int,
               duration: float) -> np.ndarray:
    """Start and end in seconds of the temporal tokens that share a clip.

    The clip starts at second ``start`` and lasts ``span``, the video
    ``duration``. Times, float64 (num_tokens, 2), are within the video; NaN
    for tokens outside of it, which show repeated frames only.
    """
    edges = start + span * np.arange(num_tokens + 1) / num_tokens
    times = np.stack([edges[:-1], edges[1:]], 1)
    outside = (times[:, 1] <= SAME_TIME) | (times[:, 0] >= duration -
                                            SAME_TIME)
    times = np.clip(times, 0, duration)
    times[outside] = np.nan
    return times


def seconds_to_segments(begins: np.ndarray, ends: np.ndarray,
                        starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """How far K spans of time are from the nearest of N segments.

    All are seconds, (K, ) and (N, ). The distance, float64 (K, ), is 0 where
    a span touches a segment, and infinite without segments.
    """
    order = np.argsort(starts)
    # Latest stop of the segments that start before the end of the span, and
    # start of the next segment.
    stops = np.maximum.accumulate(np.append(-np.inf, stops[order]))
    starts = np.append(starts[order], np.inf)
    number = np.searchsorted(starts, ends, 'right')
    distance = np.minimum(begins - stops[number], starts[number] - ends)
    return np.maximum(distance, 0.)


# -- labels -----------------------------------------------------------------


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
