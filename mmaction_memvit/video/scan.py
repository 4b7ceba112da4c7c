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
from fractions import Fraction
from itertools import chain, dropwhile
from typing import NamedTuple, Optional

import av
import numpy as np

from .frames import (
    READ_ERRORS,
    Picture,
    Source,
    open_video,
    pack,
    time_of,
    video_stream,
)
from .packets import (
    Packets,
    can_begin,
    leave_out_lost_keys,
    packets_of,
    read_packets,
)

# So many frames at the start are compared with the packets.
_NUM_HEAD = 48
# And those after the last keyframe, at least so many.
_NUM_TAIL = 16
# Seconds by which a video may end before what its file announces.
_END_TOLERANCE = 1.
# Seconds by which times that are made up may begin late.
_MADE_UP = 0.5
# Frames that reordering may put out of order, at most.
_MAX_REORDER = 20
# A pause is a jump of time if it is longer than so many seconds and frames.
_JUMP = (5., 50)


class Decoded(NamedTuple):
    """What decoding gives: int64 times of the frames, in order.

    ``error`` says why it ended early, ``picture`` how the first frame is
    shown, ``is_timeless`` whether a frame has no time.
    """
    times: np.ndarray
    error: str = ''
    picture: Optional[Picture] = None
    is_timeless: bool = False


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
        if 'avi' in container.format.name:
            packets = leave_out_lost_keys(container, stream, packets)
        frames, seen = None, Decoded(np.zeros(0, np.int64))
        if not decode and not _is_doubtful(packets, stream):
            frames, seen = _compare_ends(source, packets)
        counted = False
        if frames is None:
            seen = decode_frames(source)
            frames = seen.times
            counted = seen.is_timeless or (np.diff(frames) <= 0).any() or (
                packets.num_untimed and not _seek_holds(source, packets,
                                                        frames))
        return _describe(container, stream, packets, frames, seen, size,
                        bool(counted))


# -- reading ----------------------------------------------------------------


def decode_frames(source: Source, limit: Optional[int] = None,
                  seek: Optional[int] = None) -> Decoded:
    """Decodes a file, of which it keeps the times of the frames.

    At most ``limit`` frames from the keyframe at time ``seek``, or the start.
    """
    times, error, picture, timeless = array('q'), '', None, False
    with open_video(source) as container:
        stream = video_stream(container)
        try:
            packets = packets_of(container, stream)
            if seek is not None:
                container.seek(seek, stream=stream, backward=True)
                packets = dropwhile(lambda p: not can_begin(p), packets)
            for frame in chain.from_iterable(p.decode() for p in packets):
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
    if packets.num_damaged or packets.is_timeless or packets.has_stubs:
        return True
    if (np.diff(packets.dts) <= 0).any():
        return True
    if len(np.unique(shown)) < len(shown):
        return True
    if context.has_b_frames and len(packets.dts) == len(packets.times) > 2:
        # Pictures that are reordered cannot be shown when they are decoded.
        if packets.num_untimed or (packets.dts == packets.times).all():
            return True
    # A picture of H.264 may be two packets, one for each field, half a
    # picture apart. Where the first ones are, the decoder tells.
    steps = np.diff(np.sort(shown))
    return (context.name == 'h264' and len(steps) > 1 and bool((
        np.abs(steps / np.median(steps[:_NUM_HEAD]) - 0.5) < 0.1).any()))


def _compare_ends(source: Source, packets: Packets
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


# -- what was found ---------------------------------------------------------


def _describe(container, stream, packets: Packets, frames: np.ndarray,
              seen: Decoded, size: int, counted: bool) -> dict:
    """The entry of the frames that were found."""
    unit = stream.time_base or Fraction(1, 1000000)
    zero = 0. if container.start_time is None else container.start_time / 1e6
    num = len(frames)
    announced = _announced_frames(container, stream, packets)
    error = seen.error
    if packets.num_damaged:
        error = error or f'{packets.num_damaged} damaged packet(s)'
    if announced > len(packets.times) + packets.num_damaged:
        error = error or 'cut off'
    error = error or _find_early_end(frames, container, stream)
    whole = f' of {announced}' if announced > num else ''
    problems = [f'{error}; {num}{whole} frames can be read'] if error else []
    seconds = frames * float(unit)
    timeless = packets.is_timeless or seen.is_timeless
    has_times = not counted and not packets.num_untimed
    start = float(seconds.min()) - zero if num else 0.
    if not has_times and (timeless or start < _MADE_UP):
        # Times that the demuxer makes up may begin some frames late.
        zero, start = zero + start, 0.
    fps, drift, problem = _rate(seconds - zero, stream, counted, timeless)
    problems += [problem] if problem else []
    picture = seen.picture or Picture(stream.width, stream.height)
    entry = dict(num_frames=num, fps=fps, width=picture.width,
                 height=picture.height, size=size)
    if problems:
        entry['problem'] = '; '.join(problems)
    if fps and start > 0.5 / fps:
        entry['start'] = round(start, 3)
    if drift:
        entry['time_drift'] = drift
    keys = np.zeros(0, np.int64) if counted else np.unique(
        np.searchsorted(frames, packets.times[packets.is_key]))
    turn = {'turn': picture[2:]} if any(picture[2:]) else {}
    table = dict(
        time_base=[unit.numerator, unit.denominator],
        zero=start if counted else zero,
        times=None if counted else pack(frames),
        keys=pack(keys[keys < num]), **turn)
    reason = _why_not_decord(container, stream, packets, counted, num)
    if reason:
        table['decord'] = reason
    return {**entry, 'table': table}


def _rate(seconds: np.ndarray, stream, counted: bool,
          timeless: bool) -> tuple[float, float, str]:
    """Frames per second, drift of their times, and what is wrong.

    Of the times of frames in s from the start, in order of decoding.
    ``counted`` says that these do not tell which frame is which, ``timeless``
    that the file stores none. The drift is by how many s frames at an even
    rate would be off, 0 where nobody would see it; what is wrong is '' where
    nothing is.
    """
    declared = float(stream.average_rate or stream.guessed_rate or 0)
    if timeless:
        declared = float(stream.guessed_rate or declared)
    # A single picture may tell none; this is FFmpeg's.
    declared = round(declared or 25., 6)
    num = len(seconds)
    if num < 2 or (timeless and stream.time_base
                   and 'avi' in stream.container.format.name):
        return declared, 0., ''
    if timeless:
        return declared, 0., (
            f'stores no times, and {declared:g} frames per second are a '
            'guess. Remedy: "ffmpeg -framerate FPS -i IN -c copy OUT.mp4"')

    def usual_step() -> float:
        steps = np.diff(seconds)
        return float(np.median(steps[steps > 0]))

    if (np.diff(seconds) <= 0).all():
        return declared, 0., 'all frames have the same time'
    usual = usual_step()
    back = np.maximum.accumulate(seconds) - seconds
    if counted and back.max() > _MAX_REORDER * usual:
        fps = round(declared if abs(declared * usual - 1) < 0.1 else
                    1 / usual, 6)
        return fps, 0., (
            f'times run backwards by up to {back.max():.2f} s before frame '
            f'{int(back.argmax())}, so that frames are counted and second s '
            f'means frame s * {fps:g}. Remedy: "ffmpeg -i IN -r {fps:g} '
            'OUT.mp4", or split the file there')
    seconds = np.sort(seconds)
    usual, span = usual_step(), seconds[-1] - seconds[0]
    fps = (num - 1) / span
    # Container clocks tick in milliseconds or coarser; the declared rate is
    # more exact where the two agree to half a frame over the whole video.
    # Where times repeat, those at the ends may be some frames off.
    if abs(num - 1 - span * declared) < (3 if counted else .5):
        fps = declared
    drift = np.abs(seconds - np.arange(num) / fps).max()
    drift = round(float(drift), 3) if drift > max(0.1, 1.5 / fps) else 0.
    problem, steps = '', np.diff(seconds)
    if steps.max() > max(_JUMP[0], _JUMP[1] * usual):
        problem = (f'times jump by {steps.max():.2f} s after frame '
                   f'{int(steps.argmax())}, and {fps:g} frames per second '
                   'are a mean. Remedy: split the file there')
    return round(fps, 6), drift, problem


def _find_early_end(times: np.ndarray, container, stream) -> str:
    """Says if the frames of a Matroska file end before they should.

    Matroska and WebM announce how long they last, not how many frames there
    are. What other formats say of it is a guess of FFmpeg's, or not to be
    trusted.
    """
    # A single frame may be shown for as long as one likes.
    if 'matroska' not in container.format.name or len(times) < 2:
        return ''
    announced = _announced_seconds(container, stream)
    ticks = np.sort(times).astype(np.float64)
    # How long the last frame is shown is not stored: not longer than others.
    end = (ticks[-1] + np.diff(ticks).max()) * float(stream.time_base)
    if announced is None or end > announced - _END_TOLERANCE:
        return ''
    return f'cut off after {end:.2f} of {announced:.2f} s'


def _announced_frames(container, stream, packets: Packets) -> int:
    """Frames of an mp4, 0 if it does not tell or shows some of them only."""
    num, length = stream.frames, stream.duration
    if 'mp4' not in container.format.name or not len(packets.times):
        return 0
    # Edit lists shorten what is shown, and with it the announced length.
    end = (stream.start_time or 0) + (length or np.inf)
    is_whole = packets.times.max() > end - 1.5 * (length or 0) / max(num, 1)
    return 0 if is_whole else num


def _announced_seconds(container, stream) -> Optional[float]:
    """When the video of a Matroska file ends, if the file tells."""
    # Not stream.duration: FFmpeg puts the container's there.
    whole = None if container.duration is None else container.duration / 1e6
    try:
        hours, minutes, seconds = stream.metadata['DURATION'].split(':')
        own = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        own = None
    # A tag of more than the whole file stems from before the video was cut.
    if own is not None and (whole is None or own <= whole + _END_TOLERANCE):
        return own
    # Sound and subtitles may be longer than the video.
    return whole if len(container.streams) == 1 else None


def _why_not_decord(container, stream, packets: Packets, counted: bool,
                    num: int) -> str:
    """Why decord 0.6 numbers the frames of a file wrongly, if it does."""
    codec, form = stream.codec_context.name, container.format.name
    if codec == 'hevc':
        return 'HEVC'
    if counted or 'avi' in form or 'mpeg' in form:
        return f'the frame times of {form}'
    if codec == 'mpeg4' and stream.codec_context.has_b_frames:
        return 'MPEG-4 with B-frames'
    if num != len(packets.times):
        return 'pictures that are not shown'
    later = np.minimum.accumulate(packets.times[::-1])[::-1]
    keys = packets.is_key.copy()
    keys[:1] = False
    if (later[keys] < packets.times[keys]).any():
        return 'open groups of pictures'
    return ''
