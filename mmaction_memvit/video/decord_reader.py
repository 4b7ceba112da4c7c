# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Frames by decord, for files that it numbers rightly."""
import io
from collections.abc import Sequence
from typing import Optional

import numpy as np

from .decode import check_range, in_order, read_table
from .frames import FrameTable, VideoReadError
from .scan import Source

try:
    import decord
except ImportError:
    decord = None


class DecordReader:
    """Random access to the frames of one video by decord 0.6.

    Decord is right on mp4 with closed groups of pictures. Files of which it
    would return wrong frames (HEVC, H.264 with open groups, AVI, MPEG-TS,
    MPEG-4 with B-frames, hidden pictures) are refused.

    Args:
        source (str | io.BytesIO): Path of the video, or its bytes.
        num_threads (int): Decoding threads, 0 for automatic. Defaults to 1.
        name (str, optional): What error messages call the video. Defaults to
            None, the path.
        table (FrameTable, optional): Its frames. Defaults to None: the file
            is scanned.

    Raises:
        VideoReadError: If the file cannot be opened, or decord would number
            its frames wrongly.
    """

    def __init__(self,
                 source: Source,
                 num_threads: int = 1,
                 name: Optional[str] = None,
                 table: Optional[FrameTable] = None) -> None:
        self._name = name or str(source)
        self.table = table or read_table(source, self._name)
        if isinstance(source, io.BytesIO):
            source.seek(0)
        try:
            self._reader = decord.VideoReader(source, num_threads=num_threads)
        except (decord.DECORDError, RuntimeError, OSError, ValueError) as e:
            raise VideoReadError(
                f'cannot open video {self._name}: {_first_line(e)}') from e
        reason, found = self.table.not_by_decord, len(self._reader)
        if not reason and found < self.num_frames:
            reason = f'{found} of {self.num_frames} frames found'
        if reason:
            self.close()
            raise VideoReadError(
                f'{self._name}: decord would return other frames than those '
                f"asked for ({reason}). Remedy: backend='pyav'")

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.table.num_frames

    def close(self) -> None:
        """Closes the file."""
        self._reader = None

    def read(self,
             frame_inds: Sequence[int],
             size: Optional[tuple[int, int]] = None) -> list[np.ndarray]:
        """Reads frames, see :meth:`PyAVReader.read`."""
        import cv2
        inds = [int(i) for i in frame_inds]
        wanted = sorted(set(inds))
        check_range(wanted, self.num_frames, self._name)
        try:
            images = list(self._reader.get_batch(wanted).asnumpy())
        except (decord.DECORDError, RuntimeError, IndexError) as e:
            raise VideoReadError(
                f'cannot decode frames {min(inds)} to {max(inds)} of '
                f'{self._name}: {_first_line(e)}') from e
        # Decord turns pictures, but leaves their pixels as they are.
        size = size or (self.table.width, self.table.height)
        if images[0].shape[1::-1] != size:
            images = [cv2.resize(x, size) for x in images]
        return in_order(dict(zip(wanted, images)), inds)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)
