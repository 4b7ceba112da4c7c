# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Times of EPIC-KITCHENS-100: seconds of a time stamp, frames of a segment."""
import re
from typing import Optional

import numpy as np

_TIMESTAMP = re.compile(r'(\d+):([0-5]\d):([0-5]\d)(?:\.(\d+))?', re.ASCII)


def parse_timestamp(text: str) -> float:
    """Seconds of ``HH:MM:SS`` with any number of decimals.

    It is the float next to the decimal number; another form is a ValueError.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'time stamp {text!r} is not of the form '
                         "HH:MM:SS.ss, such as '00:01:02.50'")
    hours, minutes, seconds, decimals = match.groups('0')
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    # The number is read at once: a sum would round twice.
    return float(f'{whole}.{decimals}')


def segment_frames(start: float,
                   stop: float,
                   fps: float,
                   num_frames: Optional[int] = None) -> tuple[int, int]:
    """First and last frame of a segment, by the video's own rate.

    Frame i is shown from i / fps to (i + 1) / fps. All frames that share time
    with the segment belong to it, at least the one that is shown at its start.
    In frame folders, whose numbers start at 1, add 1.

    Args:
        start (float): Start in seconds.
        stop (float): Stop in seconds.
        fps (float): Frames per second.
        num_frames (int, optional): Frames of the video; segments are cut off
            there, and one that starts behind the end gets the last frame.
            Defaults to None.

    Returns:
        tuple[int, int]: First and last frame, from 0, both inclusive.
    """
    if not (np.isfinite([start, stop, fps]).all() and 0 <= start <= stop
            and fps > 0):
        raise ValueError(f'start={start}, stop={stop} and fps={fps} must be '
                         'finite, with 0 <= start <= stop and fps > 0')
    if num_frames is not None and num_frames < 1:
        raise ValueError(f'num_frames={num_frames} must be at least 1')
    first = _floor(start * fps)
    last = max(first, -_floor(-stop * fps) - 1)
    if num_frames is not None:
        first, last = min(first, num_frames - 1), min(last, num_frames - 1)
    return first, last


def last_observed_frame(start: float, fps: float, tau_a: float = 1.) -> int:
    """Last frame that may be looked at to anticipate a segment.

    A frame may be looked at if it begins at ``start - tau_a`` or before, both
    in seconds; frames count from 0, and -1 says that there is none.
    """
    return max(-1, _floor((start - tau_a) * fps))


def _floor(value: float) -> int:
    """Round down, but not what is a whole number up to rounding errors."""
    near = round(value)
    return near if abs(value - near) < 1e-6 else int(np.floor(value))
