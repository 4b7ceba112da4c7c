# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Frames by decord, for files that it numbers rightly."""
import io

import numpy as np

from .decode import FrameReader
from .frames import VideoReadError

try:
    import decord
except ImportError:
    decord = None


class DecordReader(FrameReader):
    """Random access to the frames of one video by decord 0.6.

    Decord is right on mp4 with closed groups of pictures. Files of which it
    would return wrong frames (HEVC, H.264 with open groups, AVI, MPEG-TS,
    MPEG-4 with B-frames, hidden pictures) are refused. Arguments are those of
    :class:`FrameReader`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self._source, io.BytesIO):
            self._source.seek(0)
        try:
            self._reader = decord.VideoReader(
                self._source, num_threads=self._num_threads)
        except (decord.DECORDError, RuntimeError, OSError, ValueError) as e:
            raise self._cannot_open(_first_line(e)) from e
        reason, found = self.table.not_by_decord, len(self._reader)
        if not reason and found < self.num_frames:
            reason = f'{found} of {self.num_frames} frames found'
        if reason:
            self.close()
            raise VideoReadError(
                f'{self._name}: decord would return other frames than those '
                f"asked for ({reason}). Remedy: backend='pyav'")

    def close(self) -> None:
        """Closes the file."""
        self._reader = None

    def _read(self, wanted: list[int],
              size: tuple[int, int]) -> dict[int, np.ndarray]:
        import cv2
        try:
            images = list(self._reader.get_batch(wanted).asnumpy())
        except (decord.DECORDError, RuntimeError, IndexError) as e:
            raise VideoReadError(
                f'cannot decode frames {wanted[0]} to {wanted[-1]} of '
                f'{self._name}: {_first_line(e)}') from e
        # Decord turns pictures, but leaves their pixels as they are.
        if images[0].shape[1::-1] != size:
            images = [cv2.resize(x, size) for x in images]
        return dict(zip(wanted, images))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)
