# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How a video is divided into consecutive clips."""
from typing import Optional, Union

import numpy as np

Positions = Union[int, np.ndarray]


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
        self.clip_len = _at_least_1('clip_len', clip_len)
        self.frame_interval = _at_least_1('frame_interval', frame_interval)
        self.span = clip_len * frame_interval
        self.clip_stride = self.span if clip_stride is None else \
            _at_least_1('clip_stride', clip_stride)
        if last_clip not in ('pad', 'drop'):
            raise ValueError(f'last_clip={last_clip!r} is unknown; it must be '
                             "'pad' or 'drop'")
        self.last_clip = last_clip

    def num_clips(self, num_frames: int) -> int:
        """Number of clips of a video, at least one.

        Args:
            num_frames (int): Number of frames of the video.

        Returns:
            int: Number of clips.
        """
        full = self._num_full(num_frames)
        if full == 0:
            return 1
        begin = max(full * self.clip_stride, self._covered(full))
        rest = num_frames - begin >= self.frame_interval
        return full + int(rest and self.last_clip == 'pad')

    def num_left_out(self, num_frames: int) -> int:
        """Number of frames after the last clip."""
        return max(0, num_frames - self._covered(self.num_clips(num_frames)))

    def frame_range(self, positions: Positions,
                    num_frames: int) -> tuple[Positions, Positions]:
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

    def _num_full(self, num_frames: int) -> int:
        return max(0, (num_frames - self.span) // self.clip_stride + 1)

    def _covered(self, num_clips: int) -> int:
        """Number of the frame after the last one of so many clips."""
        return (num_clips - 1) * self.clip_stride + self.span


def _at_least_1(name: str, value: int) -> int:
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f'{name}={value!r} must be a whole number of at '
                         'least 1')
    return int(value)
