# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Readers that return exactly the asked frames of a long video.

Frames are numbered by the video's :class:`FrameTable`.
"""
import io
from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Optional

import av
import cv2
import numpy as np

from ..messages import check_choice, warn
from .frames import (
    READ_ERRORS,
    FrameTable,
    Picture,
    Source,
    VideoReadError,
    open_video,
    time_of,
    video_stream,
)
from .packets import can_begin, packets_of
from .scan import scan_video

try:
    import decord
except ImportError:
    decord = None

# Decoding so many frames takes no longer than seeking a keyframe.
_SEEK_AFTER = 8
# From so many keyframes earlier it is tried again.
_KEYS_BACK = (1, 4, 16)
_count_mode_told = False


class Converter:
    """Scales pictures and changes their format.

    One for many: setting it up costs more than using it.
    """

    def __init__(self) -> None:
        self._reformatter = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: av.VideoFrame, **options) -> av.VideoFrame:
        """A frame with other ``format``, ``width`` or ``height``."""
        try:
            # In one thread: freed in a forked worker, a converter waits for
            # ever for threads that stayed behind in the parent.
            return self._reformatter.reformat(frame, threads=1, **options)
        except TypeError:  # PyAV of old has no such threads
            return self._reformatter.reformat(frame, **options)

    def to_rgb(self, frame: av.VideoFrame, picture: Picture,
               size: Optional[tuple[int, int]] = None) -> np.ndarray:
        """A frame as it is shown, RGB, uint8 (H, W, 3); it may be written to.

        ``size`` is the width and height; None leaves them as they are.
        """
        width, height = size or picture[:2]
        if picture.is_turned:
            width, height = height, width
        image = self(frame, format='rgb24', width=width, height=height)
        # A copy, which outlives the decoder's buffer.
        return np.array(picture.orient(image.to_ndarray()), order='C')


class FrameReader:
    """Random access to the frames of one video.

    Args:
        source (str | io.BytesIO): Path of the video, or its bytes.
        num_threads (int): Decoding threads, 0 for as many as the decoder
            likes. Defaults to 1.
        name (str, optional): What error messages call the video. Defaults to
            None, the path.
        table (FrameTable, optional): Its frames. Defaults to None: the file
            is scanned.

    Raises:
        VideoReadError: If the file cannot be opened or has no video stream.
    """

    def __init__(self, source: Source, num_threads: int = 1,
                 name: Optional[str] = None,
                 table: Optional[FrameTable] = None) -> None:
        self._source = source
        self._num_threads = num_threads
        self._name = name or str(source)
        try:
            entry = None if table else scan_video(source)
        except READ_ERRORS as e:
            raise self._cannot_open(e) from e
        if entry and not entry['num_frames']:
            raise VideoReadError(
                f'no frame of video {self._name} can be decoded')
        self.table = table or FrameTable(entry)

    def _cannot_open(self, why: object) -> VideoReadError:
        return VideoReadError(f'cannot open video {self._name}: {why}')

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.table.num_frames

    def read(self, frame_inds: Sequence[int],
             size: Optional[tuple[int, int]] = None) -> list[np.ndarray]:
        """Reads RGB frames, uint8, of shape (H, W, 3).

        ``frame_inds`` count from 0, in any order; repeated ones give separate
        arrays. ``size`` is the width and height to scale them to, in the
        conversion to RGB; None leaves them as they are shown. A frame that
        does not exist or cannot be decoded is a VideoReadError.
        """
        inds = [int(i) for i in frame_inds]
        wanted = sorted(set(inds))
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.num_frames:
            asked = (f'frames {wanted[0]} to {wanted[-1]}' if wanted else
                     'nothing')
            raise VideoReadError(f'{asked} asked of {self._name}, which has '
                                 f'{self.num_frames} frames, numbered from 0')
        frames = self._read(wanted,
                            size or (self.table.width, self.table.height))
        # Transforms such as MMAction2's Flip work in place: a frame that
        # stands twice in a clip would be flipped twice.
        return [frames[i].copy() if i in inds[:k] else frames[i]
                for k, i in enumerate(inds)]

    @abstractmethod
    def _read(self, wanted: list[int],
              size: tuple[int, int]) -> dict[int, np.ndarray]:
        """Frames by number, each wanted once and in order."""


class PyAVReader(FrameReader):
    """Random access to the frames of one video by PyAV.

    A clip costs the decoding from the last keyframe before it, or from where
    the previous clip ended when that is nearer, wherever in the video it lies.
    Frames that are not asked for, and that no other frame refers to, are not
    decoded. Arguments are those of :class:`FrameReader`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._container = None
        self._picture: Optional[Picture] = None
        self._convert = Converter()
        self._keys = self.table.keys
        # What may not be left out in decoding.
        self._wanted: set = set()
        self._last_wanted = -1
        try:
            self._open()
        except READ_ERRORS as e:
            self.close()
            raise self._cannot_open(e) from e
        if self.table.is_counted:
            _tell_counting(self._name)

    def close(self) -> None:
        """Closes the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _read(self, wanted: list[int],
              size: tuple[int, int]) -> dict[int, np.ndarray]:
        self._size = size
        if len(self._keys) and self._num_threads == 1:
            self._wanted, self._last_wanted = set(wanted), wanted[-1]
        try:
            try:
                return {i: self._read_one(i) for i in wanted}
            except _UnknownTime:
                # Demuxers that make up times make up others after a seek, and
                # decoders may show other pictures of damaged files.
                self._keys = self._keys[:0]
                self._last_wanted = -1
                self._open()
                _tell_counting(self._name)
                return {i: self._read_one(i) for i in wanted}
        except READ_ERRORS as e:
            self._next = None
            if isinstance(e, VideoReadError):
                raise
            raise VideoReadError(
                f'cannot decode frames {wanted[0]} to {wanted[-1]} of '
                f'{self._name}: {e}') from e

    # -- moving -------------------------------------------------------------

    def _open(self) -> None:
        self.close()
        self._container = open_video(self._source)
        self._stream = video_stream(self._container)
        self._context = self._stream.codec_context
        self._context.thread_count = self._num_threads
        if self._num_threads != 1:
            self._stream.thread_type = 'AUTO'
        # Decoders of AV1 take what they may skip as they begin, for good.
        self._context.open(strict=False)
        self._restart(packets_of(self._container, self._stream), first_frame=0)

    def _restart(self, packets, first_frame: int) -> None:
        self._frames = self._decode(packets)
        # The frame number that decoding would give next; None: none known.
        self._next: Optional[int] = first_frame
        self._sought = False

    def _read_one(self, ind: int) -> np.ndarray:
        if self._must_seek(ind):
            self._seek(ind)
        image = self._advance(ind)
        last = int(np.searchsorted(self._keys, ind, 'right')) - 1
        for back in _KEYS_BACK:
            if image is not None or last < 0:
                break
            # Pictures may be whole only some time after a place to start
            # from, as with intra refresh and fields.
            self._seek(int(self._keys[max(last - back, 0)]))
            self._sought = False
            image = self._advance(ind)
        if image is None:
            raise VideoReadError(
                f'frame {ind} of {self._name} cannot be decoded (the file is '
                'damaged or ends before it)')
        return image

    def _advance(self, ind: int) -> Optional[np.ndarray]:
        """Decodes up to a frame; None if it does not come."""
        for frame in self._frames:
            number = self._number(frame)
            # Frames before a keyframe that follow it in the file lack what
            # they refer to after a seek.
            if number is None or number < self._next:
                continue
            if self._sought and not _is_intra(frame):
                break
            self._sought = False
            self._next = number + 1
            if number == ind:
                if self._picture is None:
                    self._picture = Picture.of(frame, self._stream,
                                               self.table.turn)
                return self._convert.to_rgb(frame, self._picture, self._size)
            if number > ind:
                break
        self._next = None
        return None

    def _must_seek(self, ind: int) -> bool:
        if self._next is None or ind < self._next:
            return True
        # Is there a keyframe far enough on, not after the wanted frame?
        left, right = np.searchsorted(
            self._keys, [self._next + _SEEK_AFTER, ind], 'right')
        return bool(right > left)

    def _seek(self, ind: int) -> None:
        target, back = ind, 1
        while target > 0 and len(self._keys):
            self._container.seek(int(self.table.times[target]),
                                 stream=self._stream, backward=True)
            packets = packets_of(self._container, self._stream)
            packet = next(filter(can_begin, packets), None)
            time = None if packet is None else time_of(packet)
            if time is not None:
                # The keyframe itself may be hidden (an edit list that starts
                # behind it): the next shown frame counts.
                key = int(np.searchsorted(self.table.times, time))
                if key <= ind and key in self._keys:
                    self._restart(chain([packet], packets), first_frame=key)
                    self._sought = True
                    return
            # Landed behind the frame: a seek goes by decoding times.
            target, back = max(0, target - back), back * 8
        self._open()

    # -- decoding -----------------------------------------------------------

    def _decode(self, packets):
        for packet in packets:
            skip = self._last_wanted >= 0 and packet.pts is not None
            if skip:
                # Of two fields, the second one has a time of its own.
                number = int(np.searchsorted(self.table.times, packet.pts,
                                             'right')) - 1
                skip = (number < self._last_wanted
                        and number not in self._wanted)
            # Frames that others refer to are decoded all the same. What
            # follows the last wanted one may be the next clip.
            self._context.skip_frame = 'NONREF' if skip else 'DEFAULT'
            yield from packet.decode()

    def _number(self, frame) -> Optional[int]:
        """Number of a decoded frame, None if it is not in the table."""
        if self.table.is_counted:
            return self._next
        time, times = time_of(frame), self.table.times
        if time is None:
            return None
        number = int(np.searchsorted(times, time))
        if number < len(times) and times[number] == time:
            return number
        if times[0] < time < times[-1]:
            raise _UnknownTime(
                f'{self._name} shows a frame at {time} that its table does '
                'not have: the file has changed. Remedy: build the index anew')
        return None


def _is_intra(frame) -> bool:
    kind = frame.pict_type
    return str(getattr(kind, 'name', kind)) in ('I', '1')


class _UnknownTime(VideoReadError):
    """A decoded frame has a time that the table does not have."""


def _tell_counting(name: str) -> None:
    global _count_mode_told
    if not _count_mode_told:
        _count_mode_told = True
        warn(f'{name} stores no usable frame times, so that its clips are '
             'read from the start of the file, which is slow for long videos. '
             'Remedy: "ffmpeg -i IN -c copy OUT.mp4", or encode it anew. Told '
             'once, for the first such video.')


class DecordReader(FrameReader):
    """Random access to the frames of one video by decord 0.6.

    Decord is right on mp4 with closed groups of pictures. Files of which it
    would return wrong frames (HEVC, H.264 with open groups, AVI, MPEG-TS,
    MPEG-4 with B-frames, hidden pictures) are refused. Arguments are those of
    :class:`FrameReader`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self._source, io.BytesIO):
            self._source.seek(0)
        try:
            self._reader = decord.VideoReader(
                self._source, num_threads=self._num_threads)
        except (decord.DECORDError, RuntimeError, OSError, ValueError) as e:
            raise self._cannot_open(e) from e
        reason, found = self.table.not_by_decord, len(self._reader)
        if not reason and found < self.num_frames:
            reason = f'{found} of {self.num_frames} frames found'
        if reason:
            self.close()
            raise VideoReadError(
                f'{self._name}: decord would return other frames than those '
                f"asked for ({reason}). Remedy: backend='pyav'")

    def close(self) -> None:
        """Closes the file."""
        self._reader = None

    def _read(self, wanted: list[int],
              size: tuple[int, int]) -> dict[int, np.ndarray]:
        try:
            images = list(self._reader.get_batch(wanted).asnumpy())
        except (decord.DECORDError, RuntimeError, IndexError) as e:
            raise VideoReadError(
                f'cannot decode frames {wanted[0]} to {wanted[-1]} of '
                f'{self._name}: {e}') from e
        # Decord turns pictures, but leaves their pixels as they are.
        if images[0].shape[1::-1] != size:
            images = [cv2.resize(x, size) for x in images]
        return dict(zip(wanted, images))


def reader_of(backend: str) -> type[FrameReader]:
    """The reader that an option names: 'pyav', also as 'auto', or 'decord'."""
    check_choice('backend', backend, ('auto', 'pyav', 'decord'))
    if backend == 'decord' and decord is None:
        raise ImportError("backend='decord' needs decord; run \"pip install "
                          'decord"')
    return DecordReader if backend == 'decord' else PyAVReader
