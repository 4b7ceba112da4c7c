# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How a player shows the pictures of a file: turned and with square pixels."""
import struct
from typing import NamedTuple, Optional

import numpy as np

# Pixels that are higher or wider than this are a mistake of the file.
_MAX_ASPECT = 5.


class Picture(NamedTuple):
    """Size in pixels in which the pictures of a video are shown.

    ``is_turned`` says that rows become columns, before left and right
    (``flip_x``), top and bottom (``flip_y``) change places.
    """
    width: int
    height: int
    is_turned: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame, stream) -> 'Picture':
        """How a decoded frame (av.VideoFrame) of a stream is shown."""
        width, height = frame.width, frame.height
        # As players do, wide pixels stretch the width; the height stays.
        aspect = float(stream.sample_aspect_ratio or 1)
        if 1 / _MAX_ASPECT < aspect < _MAX_ASPECT:
            width = max(1, round(width * aspect))
        turned, flip_x, flip_y = orientation(_display_matrix(frame))
        if turned:
            width, height = height, width
        return cls(width, height, turned, flip_x, flip_y)

    def orient(self, image: np.ndarray) -> np.ndarray:
        """Turns an image of shape (H, W, 3) as it is shown."""
        if self.is_turned:
            image = image.swapaxes(0, 1)
        if self.flip_y:
            image = image[::-1]
        if self.flip_x:
            image = image[:, ::-1]
        return image


def orientation(matrix: Optional[tuple]) -> tuple[bool, bool, bool]:
    """The turn by a multiple of 90 degrees that is nearest to a matrix.

    ``matrix`` are the nine numbers of a display matrix, ISO 14496-12, 6.2.2;
    the point (x, y) is shown at (a x + c y, b x + d y) for a, b, u, c, d, v,
    ... None: as stored. The result is that of :class:`Picture`.
    """
    if matrix is None:
        return False, False, False
    a, b, _, c, d = matrix[:5]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def _display_matrix(frame) -> Optional[tuple]:
    for data in frame.side_data:
        if data.type.name == 'DISPLAYMATRIX':
            return struct.unpack('=9i', bytes(data)[:36])
    return None
