# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where the samples of videos are: pure arithmetic of frames and seconds."""
import math
from collections.abc import Sequence
from typing import Optional, Union

import numpy as np

from ..messages import check_choice, check_whole
from ..video.frames import SAME_TIME, Clock

Numbers = Union[int, float, np.ndarray]


class ClipGrid:
    """Consecutive clips of a video, as arithmetic on frame numbers.

    Clip ``p`` stands for the ``span = clip_len * frame_interval`` frames from
    ``p * clip_stride`` on; of these every ``frame_interval``-th is sampled.

    Args:
        clip_len (int): Sampled frames of a clip.
        frame_interval (int): Frames from one sampled frame to the next.
        clip_stride (int, optional): Frames from the start of a clip to the
            start of the next. Defaults to None: ``span``.
        last_clip (str): What becomes of the frames after the last full clip,
            if they are at least ``frame_interval``: a clip that repeats the
            last frame (``'pad'``) or nothing (``'drop'``). Defaults to
            ``'pad'``.
    """

    def __init__(self,
                 clip_len: int,
                 frame_interval: int,
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
        firsts = np.cumsum(counts) - counts
        position = np.arange(len(video)) - firsts[video]
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

    Args:
        start (int): Timestamp of the first frame. Defaults to 0.
        end (int, optional): Greatest timestamp. Defaults to None: no limit.
        rate (float | str): Timestamps per second; ``'frames'`` if timestamps
            are numbers of frames. Defaults to 1.
    """

    def __init__(self,
                 start: int = 0,
                 end: Optional[int] = None,
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


def max_clips(center: Numbers, stride: Numbers, first: Numbers,
              last: Numbers) -> Numbers:
    """How many clips a video has, ``stride`` timestamps from ``center``."""
    return 1 + (center - first) // stride + (last - center) // stride


def window_times(center: int, num_clips: int, stride: int, first: int,
                 last: int) -> np.ndarray:
    """Timestamps of the window of a keyframe, int64 (N, ), not descending.

    ``num_clips // 2`` of N clips come before the keyframe ``center``, each
    ``stride`` timestamps after the last. A window that would leave the video,
    which has timestamps ``first`` to ``last``, is shifted, so that it always
    has N different clips, the keyframe among them. A video too short for that
    gives all clips that it has, and repeats the first and the last.
    """
    before = (center - first) // stride
    after = (last - center) // stride
    missing = num_clips - (before + after + 1)
    if missing > 0:
        steps = (np.arange(num_clips) - missing // 2).clip(0, before + after)
        return center + (steps - before) * stride
    steps = np.arange(num_clips) - num_clips // 2
    steps += max(-before - steps[0], 0) - max(steps[-1] - after, 0)
    return center + steps * stride


def frames_needed(num_clips: int,
                  clip_len: int,
                  frame_interval: int,
                  target_fps: Optional[float] = None,
                  fps: Optional[float] = None) -> int:
    """Frames of a video of which ``SampleFrames`` draws different clips.

    With fewer, a clip appears twice. ``frame_interval`` counts at
    ``target_fps``, where that is given; ``fps`` is the video's own rate, None
    or 0 if it is not known and so taken for ``target_fps``.
    """
    span = clip_len * frame_interval
    if target_fps and fps:
        span = max(1, span * (fps / target_fps))
    return math.ceil(span) + num_clips - 1


def cut_tokens(start: float, span: float, num_tokens: int,
               duration: float) -> np.ndarray:
    """Start and end of the temporal tokens that share a clip equally.

    The clip starts at second ``start``, which may be negative, and lasts
    ``span``, the video ``duration``. Seconds, float64 (num_tokens, 2), are
    within the video; NaN for tokens outside of it, which show repeated frames
    only.
    """
    edges = start + span * np.arange(num_tokens + 1) / num_tokens
    times = np.stack([edges[:-1], edges[1:]], 1)
    outside = (times[:, 1] <= SAME_TIME) | (times[:, 0] >= duration -
                                            SAME_TIME)
    times = np.clip(times, 0, duration)
    times[outside] = np.nan
    return times


def seconds_to_segments(begins: np.ndarray, ends: np.ndarray,
                        starts: np.ndarray,
                        stops: np.ndarray) -> np.ndarray:
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
