# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Windows of clips around keyframes."""
from typing import Union

import numpy as np

Times = Union[int, np.ndarray]


def max_clips(center: Times, stride: Times, first: Times,
              last: Times) -> Times:
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
