# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Clips and tokens of untrimmed videos in seconds, and what they learn.

Pure arithmetic. A clip of ``span`` seconds has a row of temporal *tokens*
that share it equally. Segments are given in the order of
:func:`preference_order`, so that of several that fit equally well the last
one counts: the one that started last, of these the one that stops first.
"""
from typing import Union

import numpy as np

# Times closer than this are the same: rounding must not decide.
SAME_TIME = 1e-6

Numbers = Union[float, np.ndarray]


def preference_order(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Order in which the last of equally good segments is the right one.

    Args:
        starts (np.ndarray): Seconds, of shape (N, ).
        stops (np.ndarray): Seconds, of shape (N, ).

    Returns:
        np.ndarray: Rows, int64 (N, ): by start; of equal ones the longer
        first; of equal ones the later row first.
    """
    rows = np.arange(len(starts))
    return np.lexsort((-rows, -np.asarray(stops), np.asarray(starts)))


def native_frames(seconds: Numbers, fps: float, num_frames: int) -> Numbers:
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
    """Start and end of the tokens of a clip.

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


def choose_by_share(times: np.ndarray, starts: np.ndarray, stops: np.ndarray,
                    min_share: float) -> np.ndarray:
    """Which segment is the label of every token: the one it shares most of.

    Args:
        times (np.ndarray): Start and end of T tokens, (T, 2), NaN for none.
        starts (np.ndarray): Seconds, (N, ), in :func:`preference_order`.
        stops (np.ndarray): Seconds, (N, ).
        min_share (float): How much of the token, or of the segment, must be
            shared, in (0, 1].

    Returns:
        np.ndarray: Segments, int64 (T, ); -1 where none shares enough.
    """
    if not len(starts):
        return np.full(len(times), -1)
    begin, end = times[:, :1], times[:, 1:]
    shared = np.minimum(end, stops) - np.maximum(begin, starts)
    needed = np.minimum(end - begin, stops - starts)
    # A half exactly must count as a half, and equal shares as equal; what is
    # NaN is not shared.
    shared = np.nan_to_num(shared.round(6))
    enough = (shared > 0) & (shared >= (min_share * needed).round(6))
    return _last_best(np.where(enough, shared, 0.))


def choose_by_time(instants: np.ndarray, starts: np.ndarray,
                   stops: np.ndarray) -> np.ndarray:
    """Which segment is going on at some instants.

    Args:
        instants (np.ndarray): Seconds, (T, ), NaN for none.
        starts (np.ndarray): Seconds, (N, ), in :func:`preference_order`.
        stops (np.ndarray): Seconds, (N, ).

    Returns:
        np.ndarray: Segments, int64 (T, ); of several the one that started
        last; -1 where there is none. A segment goes on from its start,
        inclusive, to its stop, exclusive.
    """
    if not len(starts):
        return np.full(len(instants), -1)
    instants = np.asarray(instants)[:, None]
    active = ((instants >= starts - SAME_TIME)
              & (instants < stops - SAME_TIME))
    return _last_best(active.astype(float))


def _last_best(goodness: np.ndarray) -> np.ndarray:
    """Column of the last of the greatest values of rows, -1 if it is 0."""
    num = goodness.shape[1]
    best = num - 1 - goodness[:, ::-1].argmax(1)
    return np.where(goodness.max(1) > 0, best, -1)


def seconds_to_segments(begins: np.ndarray, ends: np.ndarray,
                        starts: np.ndarray,
                        stops: np.ndarray) -> np.ndarray:
    """How far spans of time are from the nearest segment.

    Args:
        begins (np.ndarray): Begins of K spans, in seconds.
        ends (np.ndarray): Their ends.
        starts (np.ndarray): Starts of N segments, ascending.
        stops (np.ndarray): Their stops.

    Returns:
        np.ndarray: Seconds, float64 (K, ); 0 where a span touches a segment,
        infinite without segments.
    """
    # Latest stop of the segments that start before the end of the span, and
    # start of the next segment.
    stops = np.maximum.accumulate(np.append(-np.inf, stops))
    starts = np.append(starts, np.inf)
    number = np.searchsorted(starts, ends, 'right')
    distance = np.minimum(begins - stops[number], starts[number] - ends)
    return np.maximum(distance, 0.)
