# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A file of pictures: its table of frames, when and how each is shown.

The number of a frame is its rank among the pictures that a player shows.
:func:`~mmaction_memvit.video.scan.probe_video` makes a table, as an entry of
an index file (JSON)::

    {"num_frames": 9000, "fps": 30.0, "width": 640, "height": 480,
     "size": 5242880,
     "table": {"time_base": [1, 15360], "zero": 0.0,
               "times": [0, 512, 9000], "keys": [0, 250, 36]}}

``width`` and ``height`` (pixels) are those that a player shows, ``size``
(bytes) is the file's. Where there is something to tell, ``problem`` says what
is wrong with a file, ``start`` how many seconds after time 0 its pictures
begin, and ``time_drift`` by how many seconds at most frames are shown at
another time than frame number / fps. A file that cannot be read has
``num_frames`` 0.
"""
import base64
import io
import os.path as osp
import struct
import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Optional, Union

import av
import numpy as np
from mmengine.utils import digit_version

# Seconds, and frames, closer than this are the same: rounding must not decide.
SAME_TIME = 1e-6
# Pixels that are higher or wider than this are a mistake of the file.
_MAX_ASPECT = 5.

Packed = Union[list, str]
Source = Union[str, io.BytesIO]
Numbers = Union[int, float, np.ndarray]


class VideoReadError(RuntimeError):
    """A video, or the asked frames of it, cannot be read."""


#: What PyAV raises for files that are not in order.
READ_ERRORS = (OSError, ValueError, IndexError, EOFError, VideoReadError,
               av.FFmpegError)
# Titles in another encoding are no fault; PyAV 19 knows that by itself.
_OPEN = (dict(metadata_errors='ignore')
         if digit_version(av.__version__) < digit_version('19') else {})


def open_video(source: Source, **kwargs):
    """Opens a file (path or bytes) or address by PyAV, see ``av.open``."""
    if isinstance(source, io.BytesIO):
        source.seek(0)
    elif '://' not in source:
        # "12:30:45.mp4" would be of the protocol "12".
        source = osp.abspath(source)
        if osp.isfile(source) and not osp.getsize(source):
            raise VideoReadError('the file is empty: fetch it anew')
    try:
        return av.open(source, **_OPEN, **kwargs)
    except av.InvalidDataError as e:
        # It would tell a number: [Errno 1094995529].
        raise VideoReadError('no video that FFmpeg knows, or a file that is '
                             'cut off') from e


def video_stream(container):
    """The first video stream of a container, decoded in one thread.

    Cover pictures are streams too, but not what is watched.
    """
    for stream in container.streams.video:
        # AV_DISPOSITION_ATTACHED_PIC; PyAV of old does not tell.
        flags = getattr(stream, 'disposition', 0)
        if not int(getattr(flags, 'value', flags)) & 0x400:
            if stream.codec_context is None:
                raise VideoReadError('the codec of its video is not known')
            stream.codec_context.thread_count = 1
            return stream
    raise VideoReadError('no video stream')


def time_of(item) -> Optional[int]:
    """Presentation time of a packet or frame, else its decoding time."""
    return item.dts if item.pts is None else item.pts


class FrameTable:
    """When the frames of a video are shown, and where decoding can begin.

    ``entry`` is one of an index, with a ``table``; it is unpacked when it is
    used.
    """

    def __init__(self, entry: Mapping) -> None:
        self.num_frames: int = entry['num_frames']
        self.fps: float = entry['fps']
        self.width: int = entry['width']
        self.height: int = entry['height']
        self._table = entry['table']

    @property
    def is_counted(self) -> bool:
        """Whether times do not tell frames, which are counted instead."""
        return self._table['times'] is None

    @property
    def not_by_decord(self) -> str:
        """Why decord numbers the frames wrongly; empty if it does not."""
        return self._table.get('decord', '')

    @property
    def turn(self) -> Sequence[bool]:
        """How pictures are turned, see :class:`Picture`."""
        return self._table.get('turn', (False, ) * 3)

    @cached_property
    def times(self) -> Optional[np.ndarray]:
        """np.ndarray: int64 times, in the file's unit; None if counted."""
        return None if self.is_counted else unpack(self._table['times'])

    @cached_property
    def keys(self) -> np.ndarray:
        """np.ndarray: int64 numbers of the frames that can be sought."""
        return unpack(self._table['keys'])

    @cached_property
    def seconds(self) -> np.ndarray:
        """np.ndarray: float64, when a player shows each frame."""
        zero = self._table['zero']
        if self.is_counted:
            return np.arange(self.num_frames) / self.fps + zero
        unit = Fraction(*self._table['time_base'])
        return self.times * float(unit) - zero

    def frame_at(self, seconds: Numbers) -> Numbers:
        """The frame that a player shows at a time, as ``ffmpeg -ss`` has it.

        It is the first one before pictures begin, the last one after they end;
        an int, or an array for an array.
        """
        # Half a microsecond: seconds are quotients of whole numbers.
        found = np.searchsorted(self.seconds, np.asarray(seconds) + 5e-7,
                                'right') - 1
        return np.maximum(found, 0) if found.ndim else int(max(found, 0))


class Clock:
    """When the frames of a video are shown, by their numbers from 0.

    Frame i is on screen from ``i / fps`` until the next one begins. Where
    that is not so (a variable frame rate, pictures that begin late), the
    video's :class:`FrameTable` tells. ``video`` is an entry of an index, or
    has ``num_frames``, ``fps`` and, if it was scanned, the entry as
    ``frame_table``.
    """

    def __init__(self, video: Mapping) -> None:
        self.fps: float = video['fps']
        self.num_frames: int = video['num_frames']
        entry = video.get('frame_table', video)
        uneven = 'table' in entry and {'time_drift', 'start'} & set(entry)
        self._table = FrameTable(entry) if uneven else None

    def seconds_at(self, frames: Numbers) -> Numbers:
        """When frames begin; number ``num_frames`` is the end."""
        if self._table is None:
            return frames / self.fps
        seconds = self._table.seconds
        return np.append(seconds, seconds[-1] + 1 / self.fps)[frames]

    @property
    def end(self) -> float:
        """Seconds that the video lasts."""
        return float(self.seconds_at(self.num_frames))

    def frame_at(self, seconds: Numbers) -> Numbers:
        """The frame that is on screen, never a later one.

        Before and after the video its first and last are shown. int64, in the
        form of ``seconds``.
        """
        if self._table is None:
            # What is a whole number but for rounding is that number.
            frames = np.floor(np.asarray(seconds) * self.fps + SAME_TIME)
            frames = np.clip(frames, 0, self.num_frames - 1).astype(np.int64)
            return frames if frames.ndim else int(frames)
        return self._table.frame_at(seconds)

    def nearest(self, seconds: Numbers) -> Numbers:
        """The frame that begins nearest; perhaps outside of the video."""
        if self._table is None:
            frames = np.rint(seconds * self.fps).astype(np.int64)
            return frames if frames.ndim else int(frames)
        begins = self.seconds_at(np.arange(self.num_frames + 1))
        return np.searchsorted((begins[1:] + begins[:-1]) / 2, seconds)

    def frames_within(self, start: float, stop: float) -> tuple[int, int]:
        """First and last frame of a segment, both inclusive.

        All frames that share time with it, at least the one at its start.
        """
        first = self.frame_at(start)
        # The frame before the one that begins at the stop or later.
        last = self.frame_at(stop)
        at_stop = self.seconds_at(last) >= stop - SAME_TIME
        return first, max(first, last - int(at_stop))


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
    def of(cls, frame, stream, turn: Sequence[bool] = (False, ) * 3
           ) -> 'Picture':
        """How a decoded frame (av.VideoFrame) of a stream is shown.

        ``turn``, the last three fields, is that of frames before, as the first
        one alone may tell.
        """
        width, height = frame.width, frame.height
        # As players do, wide pixels stretch the width; the height stays.
        aspect = float(stream.sample_aspect_ratio or 1)
        if 1 / _MAX_ASPECT < aspect < _MAX_ASPECT:
            width = max(1, round(width * aspect))
        matrix = frame.side_data.get('DISPLAYMATRIX')
        if matrix is not None:
            turn = cls._turn_of(matrix)
        size = (height, width) if turn[0] else (width, height)
        return cls(*size, *turn)

    @staticmethod
    def _turn_of(matrix) -> Sequence[bool]:
        # ISO 14496-12, 6.2.2: (x, y) is shown at (a x + c y, b x + d y), of
        # which the nearest multiple of 90 degrees is taken.
        a, b, _, c, d = struct.unpack('=9i', bytes(matrix)[:36])[:5]
        if abs(b) + abs(c) > abs(a) + abs(d):
            return True, c < 0, b < 0
        return False, a < 0, d < 0

    def orient(self, image: np.ndarray) -> np.ndarray:
        """Turns an image of shape (H, W, 3) as it is shown."""
        if self.is_turned:
            image = image.swapaxes(0, 1)
        if self.flip_y:
            image = image[::-1]
        if self.flip_x:
            image = image[:, ::-1]
        return image


def pack(values: np.ndarray) -> Packed:
    """Whole numbers in little space: ``[first, step, count]``, or text.

    Text holds the compressed steps, where they are not equal.
    """
    values = np.asarray(values, dtype=np.int64)
    steps = np.diff(values, prepend=0)
    if len(values) < 2 or (steps[1:] == steps[-1]).all():
        first = int(values[0]) if len(values) else 0
        step = int(steps[-1]) if len(values) > 1 else 0
        return [first, step, len(values)]
    data = zlib.compress(steps.astype('<i8').tobytes(), 9)
    return base64.b64encode(data).decode('ascii')


def unpack(packed: Packed) -> np.ndarray:
    """The numbers that :func:`pack` packed, int64 of shape (N,)."""
    if isinstance(packed, str):
        data = zlib.decompress(base64.b64decode(packed))
        return np.cumsum(np.frombuffer(data, '<i8')).astype(np.int64)
    first, step, count = packed
    return first + step * np.arange(count, dtype=np.int64)


def choose_by_time(instants: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The segment that is going on at instants (T, ), int64, -1 for none.

    A segment, the preferred ones first, goes on from its start, inclusive, to
    its stop, exclusive; instants are seconds, NaN for none.
    """
    if not len(segments):
        return np.full(len(instants), -1)
    instants = np.asarray(instants)[:, None]
    active = ((instants >= segments[:, 0] - SAME_TIME)
              & (instants < segments[:, 1] - SAME_TIME))
    return np.where(active.any(1), active.argmax(1), -1)
