# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where the samples of videos are: pure arithmetic of frames and seconds."""
import math
from collections.abc import Sequence
from typing import Optional, Union

import numpy as np

# Seconds, and frames, closer than this are the same: rounding must not decide.
SAME_TIME = 1e-6

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

    Raises:
        ValueError: If an argument is out of range.
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
        if last_clip not in ('pad', 'drop'):
            raise ValueError(f"last_clip={last_clip!r} must be 'pad' or "
                             "'drop'")
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
        """The clips of several videos, one video after the other.

        Args:
            lengths (Sequence[int]): Number of frames of each video.

        Returns:
            tuple[np.ndarray, np.ndarray]: Number of the video and position of
            every clip, both int32 (clips, ).
        """
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
        """First and last frame, inclusive, that clips stand for.

        Args:
            positions (int | np.ndarray): Numbers of the clips.
            num_frames (int): Number of frames of the video.

        Returns:
            tuple: First and last frames, in the form of ``positions``.
        """
        first = positions * self.clip_stride
        return first, np.minimum(first + self.span, num_frames) - 1

    def frame_inds(self, position: int, num_frames: int) -> np.ndarray:
        """Frames to sample for a clip.

        Args:
            position (int): Number of the clip.
            num_frames (int): Number of frames of the video.

        Returns:
            np.ndarray: int64 of shape (clip_len,), not decreasing.
        """
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

    Raises:
        ValueError: If an argument is out of range.
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

    def frame_of(self, timestamp: Numbers, fps: Numbers) -> Numbers:
        """Frame of a timestamp, from 0; perhaps outside of the video."""
        frame = np.rint((timestamp - self.start) / self.per_second(fps) * fps)
        return frame.astype(np.int64) if np.ndim(frame) else int(frame)

    def last(self, num_frames: int, fps: float) -> int:
        """Greatest timestamp whose frame a video has."""
        last = self.start + int(num_frames / fps * self.per_second(fps)) + 1
        if self.end is not None:
            last = min(last, self.end)
        while self.frame_of(last, fps) >= num_frames:
            last -= 1
        return last

    def steps(self, seconds: float, fps: float) -> int:
        """Timestamps that so many seconds are.

        Raises:
            ValueError: If it is no whole number of at least 1.
        """
        exact = seconds * self.per_second(fps)
        steps = round(exact)
        if steps < 1 or (self.rate != 'frames'
                         and abs(steps - exact) > SAME_TIME):
            raise ValueError(
                f'clip_stride_seconds={seconds} s are {exact:g} timestamps '
                f'at keyframe_rate={self.rate!r}, but must be a whole number '
                'of them, at least 1: clips stand at timestamps')
        return steps


def check_whole(name: str, value: int, least: int = 1) -> int:
    """An option that must be a whole number, as an int."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f'{name}={value!r} must be a whole number of at '
                         f'least {least}')
    return int(value)


def max_clips(center: Numbers, stride: Numbers, first: Numbers,
              last: Numbers) -> Numbers:
    """How many different clips a video has, ``stride`` apart.

    Args:
        center (int | np.ndarray): Timestamp of one of them.
        stride (int | np.ndarray): From one to the next.
        first (int | np.ndarray): Least timestamp of the video.
        last (int | np.ndarray): Greatest timestamp of the video.
    """
    return 1 + (center - first) // stride + (last - center) // stride


def window_times(center: int, num_clips: int, stride: int, first: int,
                 last: int) -> np.ndarray:
    """Timestamps of the window of a keyframe.

    ``num_clips // 2`` clips come before the keyframe. A window that would
    leave the video is shifted, so that it always has ``num_clips`` different
    clips, the keyframe among them. A video too short for that gives all
    clips that it has, and repeats the first and the last.

    Args:
        center (int): Timestamp of the keyframe, from ``first`` to ``last``.
        num_clips (int): N.
        stride (int): Timestamps from one clip to the next.
        first (int): Least timestamp of the video.
        last (int): Greatest timestamp of the video.

    Returns:
        np.ndarray: int64 of shape (N,), not descending.
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

    Args:
        num_clips (int): Number of the clips.
        clip_len (int): Frames of a clip.
        frame_interval (int): Frames from one to the next; at ``target_fps``,
            where that is given.
        target_fps (float, optional): Frames per second that clips are
            resampled to. Defaults to None: none.
        fps (float, optional): Frames per second of the video. Defaults to
            None: not known, taken for ``target_fps`` as by ``SampleFrames``.

    Returns:
        int: Least number of frames; with fewer, a clip appears twice.
    """
    span = clip_len * frame_interval
    if target_fps and fps:
        span = max(1, span * (fps / target_fps))
    return math.ceil(span) + num_clips - 1


def frames_on_screen(seconds: Numbers, fps: float,
                     num_frames: int) -> Numbers:
    """Frames that are on screen at some instants, never a later one.

    Frame i is on screen from ``i / fps`` until the next one begins.

    Args:
        seconds (float | np.ndarray): The instants. Those before or after the
            video show its first or last frame.
        fps (float): Frames per second of the video.
        num_frames (int): Frames of the video.

    Returns:
        int | np.ndarray: Frames from 0, int64, in the form of ``seconds``.
    """
    # What is a whole number but for rounding is that number.
    frames = np.floor(np.asarray(seconds) * fps + SAME_TIME).astype(np.int64)
    frames = np.clip(frames, 0, num_frames - 1)
    return frames if frames.ndim else int(frames)


def cut_tokens(start: float, span: float, num_tokens: int,
               duration: float) -> np.ndarray:
    """Start and end of the temporal tokens that share a clip equally.

    Args:
        start (float): Start of the clip in seconds; may be negative.
        span (float): Seconds that the clip lasts.
        num_tokens (int): Tokens of the clip.
        duration (float): Seconds that the video lasts.

    Returns:
        np.ndarray: Seconds, float64 (num_tokens, 2), within the video; NaN
        for tokens that lie outside of it, which show repeated frames only.
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
    """How far spans of time are from the nearest segment.

    Args:
        begins (np.ndarray): Begins of K spans, in seconds.
        ends (np.ndarray): Their ends.
        starts (np.ndarray): Starts of N segments.
        stops (np.ndarray): Their stops.

    Returns:
        np.ndarray: Seconds, float64 (K, ); 0 where a span touches a segment,
        infinite without segments.
    """
    order = np.argsort(starts)
    # Latest stop of the segments that start before the end of the span, and
    # start of the next segment.
    stops = np.maximum.accumulate(np.append(-np.inf, stops[order]))
    starts = np.append(starts[order], np.inf)
    number = np.searchsorted(starts, ends, 'right')
    distance = np.minimum(begins - stops[number], starts[number] - ends)
    return np.maximum(distance, 0.)
