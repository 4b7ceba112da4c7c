# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a scan says of a video: its entry in an index."""
import struct
from fractions import Fraction
from typing import NamedTuple, Optional

import numpy as np

from .frames import pack

# Pixels that are higher or wider than this are a mistake of the file.
_MAX_ASPECT = 5.
# Seconds by which a video may end before what its file announces.
_END_TOLERANCE = 1.
# Frames that reordering may put out of order, at most.
_MAX_REORDER = 20
# A pause is a jump of time if it is longer than so many seconds and frames.
_JUMP = (5., 50)


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
    data = frame.side_data.get('DISPLAYMATRIX')
    return None if data is None else struct.unpack('=9i', bytes(data)[:36])


class Packets(NamedTuple):
    """What the packets of a video stream tell, in file order.

    ``times`` are int64 presentation times, else decoding times; ``dts`` the
    decoding times of those that have one; ``num_untimed`` says how many have
    no presentation time, ``is_timeless`` whether one has no time at all. Of
    damaged or cut-off packets there is only the number.
    """
    times: np.ndarray
    dts: np.ndarray
    is_key: np.ndarray
    is_shown: np.ndarray
    num_untimed: int
    is_timeless: bool
    num_damaged: int


class Decoded(NamedTuple):
    """What decoding gives: int64 times of the frames, in order.

    ``error`` says why it ended early, ``picture`` how the first frame is
    shown, ``is_timeless`` whether a frame has no time.
    """
    times: np.ndarray
    error: str = ''
    picture: Optional[Picture] = None
    is_timeless: bool = False


def describe(container, stream, packets: Packets, frames: np.ndarray,
             seen: Decoded, size: int, counted: bool) -> dict:
    """The entry of the frames that were found."""
    unit = stream.time_base or Fraction(1, 1000000)
    zero = 0. if container.start_time is None else container.start_time / 1e6
    num = len(frames)
    announced = stream.frames if 'mp4' in container.format.name else 0
    known = int(len(packets.times) + packets.num_damaged)
    error = seen.error
    if packets.num_damaged:
        error = error or f'{packets.num_damaged} damaged packet(s)'
    if announced > known:
        error = error or 'cut off'
    error = error or _find_early_end(frames, container, stream)
    problems = []
    if error:
        whole = f' of {announced}' if announced > num else ''
        problems.append(f'{error}; {num}{whole} frames can be read')
    picture = seen.picture or Picture(stream.width, stream.height)
    seconds = frames * float(unit)
    timeless = packets.is_timeless or seen.is_timeless
    has_times = not counted and not packets.num_untimed
    if not has_times:
        # Times that the demuxer makes up may begin anywhere.
        zero = float(seconds.min()) if num else 0.
    fps, drift, problem = _rate(seconds - zero, stream, counted, timeless)
    if problem:
        problems.append(problem)
    entry = dict(num_frames=num, fps=fps, width=picture.width,
                 height=picture.height, size=size)
    if problems:
        entry['problem'] = '; '.join(problems)
    start = float(seconds[0]) - zero if num and has_times else 0.
    if fps and start > 0.5 / fps:
        entry['start'] = round(start, 3)
    if drift:
        entry['time_drift'] = drift
    keys = [] if counted else np.unique(
        np.searchsorted(frames, packets.times[packets.is_key]))
    table = dict(
        time_base=[unit.numerator, unit.denominator],
        zero=0. if counted else zero, times=None if counted else pack(frames),
        keys=pack(np.asarray(keys, np.int64)[np.asarray(keys) < num]))
    reason = _why_not_decord(container, stream, packets, counted, num)
    if reason:
        table['decord'] = reason
    return {**entry, 'table': table}


def _rate(seconds: np.ndarray, stream, counted: bool,
          timeless: bool) -> tuple[float, float, str]:
    """Frames per second, drift of their times, and what is wrong."""
    declared = float(stream.average_rate or stream.guessed_rate or 0)
    if timeless:
        declared = float(stream.guessed_rate or declared)
    # A single picture may tell none; this is FFmpeg's.
    declared = declared or 25.
    num = len(seconds)
    if num < 2:
        return round(declared, 6), 0., ''
    if timeless:
        if stream.time_base and 'avi' in stream.container.format.name:
            return round(declared, 6), 0., ''
        return round(declared, 6), 0., (
            f'stores no times, and {declared:g} frames per second are a '
            'guess. Remedy: "ffmpeg -framerate FPS -i IN -c copy OUT.mp4"')
    steps = np.diff(seconds)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.
    if not usual:
        return round(declared, 6), 0., 'all frames have the same time'
    back = np.maximum.accumulate(seconds) - seconds
    if counted and back.max() > _MAX_REORDER * usual:
        fps = declared if abs(declared * usual - 1) < 0.1 else 1 / usual
        return round(fps, 6), 0., (
            f'times run backwards by up to {back.max():.2f} s before frame '
            f'{int(back.argmax())}, so that frames are counted and second s '
            f'means frame s * {fps:g}. Remedy: "ffmpeg -i IN -r {fps:g} '
            'OUT.mp4", or split the file there')
    seconds = np.sort(seconds)
    steps = np.diff(seconds)
    usual = float(np.median(steps[steps > 0]))
    fps = (num - 1) / (seconds[-1] - seconds[0])
    # Container clocks tick in milliseconds or coarser; the declared rate is
    # more exact where the two agree to half a frame over the whole video.
    if abs(num - 1 - (seconds[-1] - seconds[0]) * declared) < .5:
        fps = declared
    elif counted:
        fps = declared if abs(declared * usual - 1) < 0.1 else 1 / usual
    drift = np.abs(seconds - np.arange(num) / fps).max()
    drift = round(float(drift), 3) if drift > max(0.1, 1.5 / fps) else 0.
    problem = ''
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
    announced = announced_seconds(container, stream)
    ticks = np.sort(times).astype(np.float64)
    # How long the last frame is shown is not stored: not longer than others.
    end = (ticks[-1] + np.diff(ticks).max()) * float(stream.time_base)
    if announced is None or end > announced - _END_TOLERANCE:
        return ''
    return f'cut off after {end:.2f} of {announced:.2f} s'


def announced_seconds(container, stream) -> Optional[float]:
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
