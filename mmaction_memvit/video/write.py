# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Pictures to a video file."""
from fractions import Fraction

import av
import cv2
import numpy as np

from .decode import Converter


class VideoWriter:
    """Writes pictures as H.264, as browsers and players take it.

    Args:
        path (str): File; its ending says the container.
        fps (float): Pictures per second.
        **options (str): Of x264, such as ``crf``.
    """

    def __init__(self, path: str, fps: float, **options: str) -> None:
        self._container = av.open(path, 'w')
        self._stream = self._container.add_stream(
            'libx264', rate=Fraction(fps).limit_denominator(1000),
            options={'preset': 'veryfast', **options})
        self._stream.pix_fmt = 'yuv420p'
        # As of converters.
        self._stream.codec_context.thread_count = 1
        self._convert = Converter()
        self._size = None

    def write(self, image: np.ndarray) -> None:
        """Add a picture, RGB, uint8; all get the size of the first."""
        if self._size is None:
            self._size = tuple(x // 2 * 2 for x in image.shape[1::-1])
            self._stream.width, self._stream.height = self._size
            self._shape = image.shape
        width, height = self._size
        if image.shape != self._shape:
            image = cv2.resize(image, self._size)
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(image[:height, :width]), format='rgb24')
        self._container.mux(
            self._stream.encode(self._convert(frame, format='yuv420p')))

    def close(self) -> None:
        """End the file."""
        if self._size is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
