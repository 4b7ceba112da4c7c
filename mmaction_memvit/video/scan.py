# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Makes the frame table of a video by one scan, checked against the decoder.

All packets are read, which takes about as long as copying the file. The first
frames and those after the last keyframe are decoded and compared with what
the packets tell. Where packets cannot be trusted (times that repeat, run
backwards or are missing, damage, fields, reordering that the times deny), or
do not agree with the decoder, everything is decoded.
"""
import io
import os.path as osp
from array import array
from typing import Optional, Union

import av
import numpy as np
from mmengine.utils import digit_version

from .describe import Decoded, Packets, Picture, describe
from .frames import VideoReadError

Source = Union[str, io.BytesIO]

# Titles in another encoding are no fault; PyAV 19 knows that by itself.
_OPEN = (dict(metadata_errors='ignore')
         if digit_version(av.__version__) < digit_version('19') else {})
#: What PyAV raises for files that are not in order.
READ_ERRORS = (OSError, ValueError, IndexError, EOFError, VideoReadError,
               av.FFmpegError)
# Profiles of H.264 whose headers tell the colour format (7.3.2.1.1).
_HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134)
# So many frames at the start are compared with the packets.
_NUM_HEAD = 48
# And those after the last keyframe, at least so many.
_NUM_TAIL = 16


def probe_video(path: str, decode: bool = False) -> dict:
    """The entry of a video in an index, see :mod:`.frames`.

    A file that cannot be read has ``num_frames`` 0 and a ``problem``. With
    ``decode`` all frames are decoded, which also finds damage in the middle of
    a file and takes much longer.
    """
    try:
        entry = scan_video(path, decode)
        if not entry['num_frames']:
            entry.setdefault('problem', 'no frame can be decoded')
        return entry
    except READ_ERRORS as e:
        size = osp.getsize(path) if osp.isfile(path) else 0
        return dict(num_frames=0, fps=0., width=0, height=0, size=size,
                    problem=f'cannot be read: {e}')


def scan_video(source: Source, decode: bool = False) -> dict:
    """As :func:`probe_video`, but a file that cannot be opened is an error.

    ``source`` is the path of the video, or its bytes.
    """
    size = source.getbuffer().nbytes if isinstance(source, io.BytesIO) else \
        osp.getsize(source)
    with open_video(source) as container:
        stream = video_stream(container)
        packets = read_packets(container, stream)
        frames, seen = None, Decoded(np.zeros(0, np.int64))
        if not decode and not _is_doubtful(packets, stream):
            frames, seen = _compare_ends(source, container, stream, packets)
        counted = False
        if frames is None:
            seen = decode_frames(source)
            frames = seen.times
            counted = seen.is_timeless or (np.diff(frames) <= 0).any() or (
                packets.num_untimed and not _seek_holds(source, packets,
                                                        frames))
        return describe(container, stream, packets, frames, seen, size,
                        bool(counted))


# -- reading ----------------------------------------------------------------


def open_video(source: Source, **kwargs):
    """Opens a file (path or bytes) or address by PyAV, see ``av.open``."""
    if isinstance(source, io.BytesIO):
        source.seek(0)
    elif '://' not in source:
        # "12:30:45.mp4" would be of the protocol "12".
        source = osp.abspath(source)
    return av.open(source, **_OPEN, **kwargs)


def video_stream(container):
    """The first video stream of a container, decoded in one thread.

    Cover pictures are streams too, but not what is watched.
    """
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        raise VideoReadError('no video stream')
    stream = streams[0]
    stream.codec_context.thread_count = 1
    return stream


def _is_cover(stream) -> bool:
    # AV_DISPOSITION_ATTACHED_PIC; PyAV of old does not tell.
    flags = getattr(stream, 'disposition', 0)
    return bool(int(getattr(flags, 'value', flags)) & 0x400)


def time_of(item) -> Optional[int]:
    """Presentation time of a packet or frame, else its decoding time."""
    return item.dts if item.pts is None else item.pts


def read_packets(container, stream) -> Packets:
    """Reads all packets of a stream without decoding them."""
    times, dts = array('q'), array('q')
    is_key, is_shown = bytearray(), bytearray()
    damaged = untimed = timeless = 0
    is_vp8 = stream.codec_context.name == 'vp8'
    for packet in container.demux(stream):
        if not packet.size:
            # What ends the stream, and what AVI puts for a dropped frame.
            continue
        if packet.is_corrupt:
            damaged += 1
            continue
        time = time_of(packet)
        untimed += packet.pts is None
        timeless += time is None
        times.append(len(times) if time is None else time)
        if packet.dts is not None:
            dts.append(packet.dts)
        is_key.append(packet.is_keyframe)
        # RFC 6386, 9.1: bit 4 of a frame of VP8 tells whether it is shown.
        hidden = packet.is_discard or (is_vp8
                                       and not memoryview(packet)[0] & 16)
        is_shown.append(not hidden)
    return Packets(np.array(times, np.int64), np.array(dts, np.int64),
                   np.array(is_key, bool), np.array(is_shown, bool), untimed,
                   bool(timeless), damaged)


def decode_frames(source: Source, limit: Optional[int] = None,
                  seek: Optional[int] = None) -> Decoded:
    """Decodes a file, of which it keeps the times of the frames.

    At most ``limit`` frames from the keyframe at time ``seek``, or the start.
    """
    times, error, picture, timeless = array('q'), '', None, False
    with open_video(source) as container:
        stream = video_stream(container)
        try:
            if seek is not None:
                container.seek(seek, stream=stream, backward=True)
            for frame in container.decode(stream):
                if picture is None:
                    picture = Picture.of(frame, stream)
                time = time_of(frame)
                timeless |= time is None
                times.append(len(times) if time is None else time)
                if len(times) == limit:
                    break
        except (av.FFmpegError, ValueError) as e:
            error = f'decoding fails after {len(times)} frames ({e})'
    return Decoded(np.array(times, np.int64), error, picture, timeless)


# -- comparing --------------------------------------------------------------


def _is_doubtful(packets: Packets, stream) -> bool:
    """Whether packets may tell other frames than those that are shown."""
    context, shown = stream.codec_context, packets.times[packets.is_shown]
    if packets.num_damaged or packets.is_timeless:
        return True
    if (np.diff(packets.dts) <= 0).any():
        return True
    if len(np.unique(shown)) < len(shown):
        return True
    if context.has_b_frames and len(packets.dts) == len(packets.times) > 2:
        # Pictures that are reordered cannot be shown when they are decoded.
        if packets.num_untimed or (packets.dts == packets.times).all():
            return True
    # A picture may be two packets, one for each field.
    return context.name == 'h264' and may_have_fields(context.extradata)


def _compare_ends(source: Source, container, stream, packets: Packets
                  ) -> tuple[Optional[np.ndarray], Decoded]:
    """Times by packets as far as the decoder agrees, None if it does not."""
    times = np.sort(packets.times[packets.is_shown])
    head = decode_frames(source, _NUM_HEAD)
    first = int(np.searchsorted(times, head.times[0])) if len(
        head.times) else 0
    # What comes before the first keyframe is never shown.
    times = times[first:]
    num = len(head.times)
    if not num or head.error or (head.times != times[:num]).any():
        return None, head
    if num < _NUM_HEAD:
        return (times if num == len(times) else None), head
    keys = packets.times[packets.is_key]
    for key in keys[keys <= times[-_NUM_TAIL]][:-3:-1]:
        tail = decode_frames(source, seek=int(key))
        got = tail.times[tail.times >= key]
        expected = times[times >= key]
        if not len(got):
            continue
        if len(got) > len(expected) or (got != expected[:len(got)]).any():
            return None, head
        error = ''
        if len(got) < len(expected):
            error = 'the end cannot be decoded'
        num = len(times) - len(expected) + len(got)
        return times[:num], head._replace(error=error)
    return None, head


def _seek_holds(source: Source, packets: Packets, frames: np.ndarray) -> bool:
    """Whether frames have the same times after a seek."""
    keys = packets.times[packets.is_key]
    if len(keys) < 2:
        return True
    tail = decode_frames(source, seek=int(keys[-1])).times
    return 0 < len(tail) <= len(frames) and bool(
        (frames[-len(tail):] == tail).all())


# -- fields of H.264 --------------------------------------------------------


class _Bits:
    """Reads numbers of a header, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = ''.join(f'{byte:08b}' for byte in data)
        self._at = 0

    def take(self, num: int) -> int:
        """The next bits as a number."""
        self._at += num
        if self._at > len(self._bits):
            raise ValueError('the header ends early')
        return int('0' + self._bits[self._at - num:self._at], 2)

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
