# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Small videos whose frames tell their own number, after compression too."""
import struct
from pathlib import Path
from typing import Optional

import av
import numpy as np
import pytest

BITS = 16
SHARED_DATA = Path(__file__).resolve().parents[2] / '../shared/data'


def need_shared_data(name: str) -> Path:
    """A folder of the small real data; skips the test where it is absent."""
    folder = SHARED_DATA / name
    if not folder.exists():
        pytest.skip(f'the real data {name} is not beside this checkout')
    return folder


def number_image(number: int, height: int = 64, width: int = 64):
    """An RGB image of 4 x 4 blocks, one for every bit of the number."""
    bits = np.array([number >> k & 1 for k in range(BITS)], dtype=np.uint8)
    blocks = bits.reshape(4, 4) * 255
    image = np.kron(blocks, np.ones((height // 4, width // 4), np.uint8))
    return np.repeat(image[..., None], 3, axis=-1)


def read_number(image: np.ndarray) -> int:
    """The number that an image of :func:`number_image` shows."""
    h, w = image.shape[0] // 4, image.shape[1] // 4
    number = 0
    for k in range(BITS):
        row, col = divmod(k, 4)
        block = image[row * h + h // 4:row * h + 3 * h // 4 + 1,
                      col * w + w // 4:col * w + 3 * w // 4 + 1]
        number |= int(block.mean() > 127) << k
    return number


def write_video(path, num_frames: int, codec: str = 'libx264', rate: int = 30,
                gop: int = 12, b_frames: int = 2, times: Optional[list] = None,
                first: int = 0, height: int = 64, width: int = 64,
                container_options: Optional[dict] = None,
                pix_fmt: str = 'yuv420p', **options) -> str:
    """Writes frames first, first + 1, ... as a video.

    Args:
        path: Where to; the suffix decides on the container.
        num_frames: Number of frames.
        codec: FFmpeg's name of the encoder.
        rate: Frames per second.
        gop: Frames from keyframe to keyframe.
        b_frames: Most B-frames in a row.
        times: Times of the frames in 1 / rate s; by default 0, 1, 2, ...
        first: Number that the first frame shows.
        height: In pixels.
        width: In pixels.
        container_options: Options of the container.
        pix_fmt: Format of the pixels.
        options: Options of the encoder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w', options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = pix_fmt
        stream.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.thread_count = 1
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(
                number_image(first + i, height, width), format='rgb24')
            frame.pts = i if times is None else times[i]
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return str(path)


def turned(path, degrees):
    """Sets the display matrix of an mp4, as phones do."""
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    data = bytearray(open(path, 'rb').read())
    at = data.index(b'tkhd') + 4 + 40
    one = 1 << 16
    data[at:at + 36] = struct.pack('>9i', a * one, b * one, 0, -b * one,
                                   a * one, 0, 0, 0, 1 << 30)
    open(path, 'wb').write(data)


def truncate(source, target, share: float = 0.5) -> str:
    """Writes the first part of a file."""
    data = Path(source).read_bytes()
    Path(target).write_bytes(data[:int(len(data) * share)])
    return str(target)
