# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""H.264 whose pictures are two fields each, which no free encoder writes."""
import numpy as np

from .videos import number_image

WIDTH, HEIGHT = 96, 64


class _Bits(list):
    """Bits of a unit of the stream."""

    def u(self, value, num=1):
        self.extend(value >> i & 1 for i in range(num - 1, -1, -1))
        return self

    def ue(self, *values):
        for value in values:
            size = (value + 1).bit_length()
            self.u(0, size - 1).u(value + 1, size)
        return self

    def align(self):
        return self.u(0, -len(self) % 8)

    def unit(self, head):
        self.u(1).align()
        out = bytearray()
        for byte in np.packbits(np.array(self, np.uint8)).tobytes():
            if byte <= 3 and out[-2:] == b'\0\0':
                out.append(3)
            out.append(byte)
        return b'\0\0\0\1' + bytes([head]) + bytes(out)


def _headers():
    """Sequence (profile Main, fields allowed) and picture parameters."""
    sps = _Bits().u(77, 8).u(0, 8).u(30, 8).ue(0, 0, 0, 4, 1).u(0).ue(
        WIDTH // 16 - 1, HEIGHT // 32 - 1).u(0b00100, 5)
    pps = _Bits().ue(0, 0).u(0, 2).ue(0, 0, 0).u(0, 3).ue(0, 0, 0).u(0b100, 3)
    return sps.unit(0x67) + pps.unit(0x68)


def _slice(number, lines, bottom, is_key, frame, idr):
    """A frame (``lines`` all) or field of raw samples."""
    bits = _Bits().ue(0, 7, 0).u((frame + 1) // 2 % 16, 4)
    bits.u(0) if lines == slice(None) else bits.u(1).u(bottom)
    if is_key:
        bits.ue(idr)
    bits.u((2 * frame + bottom) % 256, 8)
    bits.u(0, 2 if is_key else 1 - frame % 2).ue(0, 1)
    luma = np.where(number_image(number, HEIGHT, WIDTH)[lines, :, 0], 235, 16)
    for row in range(0, len(luma), 16):
        for column in range(0, WIDTH, 16):
            block = luma[row:row + 16, column:column + 16].ravel()
            bits.ue(25).align()
            bits.extend(np.unpackbits(np.append(
                block, np.full(128, 128)).astype(np.uint8)).tolist())
    # Nothing refers to every other frame.
    return bits.unit(0x65 if is_key else 1 if frame % 2 else 0x61)


def field_units(num, gop=12, whole=()):
    """The frames 0, 1, ... as lists of access units, one or two each.

    Args:
        num: Number of frames.
        gop: Frames from keyframe to keyframe.
        whole: Numbers of the frames that are coded as one picture.
    """
    for i in range(num):
        frame, idr = i % gop, i // gop % 2
        key = frame == 0
        head = _headers() if key else b''
        if i in whole:
            yield [head + _slice(i, slice(None), 0, key, frame, idr)]
        else:
            yield [head + _slice(i, slice(0, None, 2), 0, key, frame, idr),
                   _slice(i, slice(1, None, 2), 1, False, frame, idr)]
