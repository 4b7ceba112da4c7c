# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the packets of a video stream tell, and where decoding can begin."""
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np

from .frames import VideoReadError, time_of

# Bytes of a packet of MPEG-4 without a picture, at most.
_STUB = 16


class Packets(NamedTuple):
    """What the packets of a video stream tell, in file order.

    ``times`` are int64 presentation times, else decoding times; ``dts`` the
    decoding times of those that have one, ``places`` where packets are in the
    file, -1 if that is not known; ``num_untimed`` says how many have
    no presentation time, ``is_timeless`` whether one has no time at all,
    ``has_stubs`` whether one may hold no picture. Of damaged or cut-off
    packets there is only the number.
    """
    times: np.ndarray
    dts: np.ndarray
    places: np.ndarray
    is_key: np.ndarray
    is_shown: np.ndarray
    num_untimed: int
    is_timeless: bool
    has_stubs: bool
    num_damaged: int


def packets_of(container, stream) -> Iterator:
    """Packets of a stream from where the container is."""
    try:
        yield from container.demux(stream)
    except IndexError as e:
        raise VideoReadError(
            'other streams begin in the middle, as in joined recordings. '
            'Remedy: split the file there, or encode it anew') from e


def can_begin(packet) -> bool:
    """Whether decoding can begin at a packet whose time is known.

    MPEG streams need not store a time for each picture. After a seek FFmpeg
    may make up another for those that do not begin a chunk of the file.
    """
    return packet.is_keyframe and (
        packet.pos is not None
        or 'mpeg' not in packet.stream.container.format.name)


def read_packets(container, stream) -> Packets:
    """Reads all packets of a stream without decoding them."""
    times, dts, places = array('q'), array('q'), array('q')
    is_key, is_shown = bytearray(), bytearray()
    damaged = untimed = timeless = stubs = 0
    codec = stream.codec_context.name
    is_vp8, is_mpeg4 = codec == 'vp8', codec == 'mpeg4'
    for packet in packets_of(container, stream):
        if not packet.size:
            # What ends the stream, and what AVI puts for a dropped frame.
            continue
        # MPEG-4 has packets of a few bytes that say "as before", which no
        # decoder shows.
        stubs |= is_mpeg4 and packet.size <= _STUB
        if packet.is_corrupt:
            damaged += 1
            continue
        time = time_of(packet)
        untimed += packet.pts is None
        timeless += time is None
        times.append(len(times) if time is None else time)
        if packet.dts is not None:
            dts.append(packet.dts)
        places.append(-1 if packet.pos is None else packet.pos)
        is_key.append(can_begin(packet))
        # RFC 6386, 9.1: bit 4 of a frame of VP8 tells whether it is shown.
        hidden = packet.is_discard or (is_vp8
                                       and not memoryview(packet)[0] & 16)
        is_shown.append(not hidden)
    return Packets(np.array(times, np.int64), np.array(dts, np.int64),
                   np.array(places, np.int64), np.array(is_key, bool),
                   np.array(is_shown, bool), untimed,
                   bool(timeless), bool(stubs), damaged)


def leave_out_lost_keys(container, stream, packets: Packets) -> Packets:
    """Packets of a file that stores no times, whose index may be damaged."""
    is_key = packets.is_key.copy()
    for k in np.flatnonzero(is_key):
        try:
            container.seek(int(packets.times[k]), stream=stream, backward=True)
            found = next(filter(can_begin, packets_of(container, stream)))
            is_key[k] = found.pos == packets.places[k]
        except (av.FFmpegError, StopIteration):
            is_key[k] = False
    return packets._replace(is_key=is_key)
