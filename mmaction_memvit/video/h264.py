# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whether a stream of H.264 may code a picture as two fields."""
import numpy as np

# Profiles whose headers tell the colour format (ITU-T H.264, 7.3.2.1.1).
_HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134)


class _Bits:
    """Reads numbers of a header, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._at = 0

    def take(self, num: int) -> int:
        """The next bits as a number."""
        bits = self._bits[self._at:self._at + num]
        if len(bits) < num:
            raise ValueError('the header ends early')
        self._at += num
        return int(''.join(map(str, bits)) or '0', 2)

    def golomb(self) -> int:
        """The next number in Exp-Golomb code (9.1), without sign."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def may_have_fields(extradata: bytes) -> bool:
    """Whether pictures may be fields, by ``frame_mbs_only_flag``.

    ``extradata`` are the headers of the stream, as the container stores them
    (avcC, or with start codes); without them it is False too.
    """
    data = bytes(extradata or b'')
    if data[:1] == b'\x01':
        header = data[8:8 + int.from_bytes(data[6:8], 'big')]
    else:
        units = data.split(b'\0\0\1')[1:]
        header = next((x for x in units if x[:1] and x[0] & 31 == 7), b'')
    try:
        return not _frames_only(header[1:].replace(b'\0\0\3', b'\0\0'))
    except ValueError:
        return False


def _frames_only(header: bytes) -> int:
    """``frame_mbs_only_flag`` of a sequence parameter set (7.3.2.1.1)."""
    bits = _Bits(header)
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    if profile in _HIGH_PROFILES:
        colour = bits.golomb()
        if colour == 3:
            bits.take(1)
        bits.golomb(), bits.golomb(), bits.take(1)
        if bits.take(1):
            for i in range(8 if colour != 3 else 12):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1), bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb(), bits.take(1), bits.golomb(), bits.golomb()
    return bits.take(1)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            delta = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + delta) % 256
        last = following or last
