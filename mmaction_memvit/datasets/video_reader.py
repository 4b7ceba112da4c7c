# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Readers that return exactly the asked frames of a long video.

Frame ``i`` is the i-th picture in the order of presentation, whatever the
container stores, as sequential decoding from the start would count it.
"""
import io
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
from mmengine.logging import print_log

try:
    import av
except ImportError:
    av = None

try:
    import decord
except ImportError:
    decord = None

Source = Union[str, io.BytesIO]

# AVI stores no frame times. With B-frames the times that the demuxer makes up
# may be out of order; so many frames are compared with their count.
_NUM_CHECKED_FRAMES = 32
_count_mode_told = False


class VideoReadError(RuntimeError):
    """A video, or the asked frames of it, cannot be read."""


def _require_av() -> None:
    if av is None:
        raise ImportError(
            'PyAV is not installed; run "pip install av", or set '
            "backend='decord' and install decord.")


def _time_of(item) -> Optional[int]:
    """Presentation time of a packet or frame, else its decoding time."""
    return item.dts if item.pts is None else item.pts


class PyAVReader:
    """Random access to the frames of one video by PyAV.

    Opening a constant-rate mp4 reads its header only; other files are read
    through once, without decoding, for the times of their frames. A clip then
    costs the decoding from the last keyframe before it, or from where the
    previous clip ended when that is nearer, wherever in the video it lies.

    Args:
        source (str | io.BytesIO): Path of the video, or its bytes.
        num_threads (int): Decoding threads, 0 for as many as FFmpeg likes.
            Defaults to 1.
        name (str, optional): What error messages call the video. Defaults to
            None, the path.

    Raises:
        VideoReadError: If the file cannot be opened or has no video stream.
    """

    def __init__(self,
                 source: Source,
                 num_threads: int = 1,
                 name: Optional[str] = None) -> None:
        _require_av()
        self._source = source
        self._num_threads = num_threads
        self._name = name or str(source)
        self._container = None
        # Frame times in order and frame numbers of the keyframes; times are
        # None where they are not to be trusted and frames are counted.
        self._times: Optional[np.ndarray] = None
        self._keys = np.zeros(0, dtype=np.int64)
        self._from_header = False
        try:
            self._open()
            self._from_header = self._time_by_header()
            if not self._from_header:
                self._time_by_demuxing()
            if self._invents_times() and not self._times_hold():
                self._count_from_start()
        except VideoReadError:
            self.close()
            raise
        except (av.FFmpegError, OSError, ValueError, IndexError) as e:
            self.close()
            raise VideoReadError(
                f'cannot open video {self._name}: {e}') from e

    @property
    def num_frames(self) -> Optional[int]:
        """Number of frames, None where only decoding would tell."""
        return None if self._times is None else len(self._times)

    def close(self) -> None:
        """Closes the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def read(self, frame_inds: Sequence[int]) -> list[np.ndarray]:
        """Reads frames.

        Args:
            frame_inds (Sequence[int]): Frame numbers from 0, in any order;
                repeated ones give separate arrays.

        Returns:
            list[np.ndarray]: RGB frames, uint8, of shape (H, W, 3).

        Raises:
            VideoReadError: If a frame does not exist or cannot be decoded.
        """
        inds = [int(i) for i in frame_inds]
        wanted = sorted(set(inds))
        try:
            while True:
                try:
                    return _in_order(self._read_sorted(wanted), inds)
                except _WrongTimes:
                    self._trust_less()
        except (av.FFmpegError, OSError, ValueError, EOFError) as e:
            self._next = None
            raise VideoReadError(
                f'cannot decode frames {wanted[0]} to {wanted[-1]} of '
                f'{self._name}: {e}') from e

    def _trust_less(self) -> None:
        """Header times, else packet times, else counting from the start."""
        if self._from_header:
            self._from_header = False
            self._open()
            self._time_by_demuxing()
        else:
            self._count_from_start()

    # -- opening and timing -------------------------------------------------

    def _open(self) -> None:
        self.close()
        if isinstance(self._source, io.BytesIO):
            self._source.seek(0)
        self._container = av.open(self._source, metadata_errors='ignore')
        if not self._container.streams.video:
            raise VideoReadError(f'{self._name} has no video stream')
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = self._num_threads
        if self._num_threads != 1:
            self._stream.thread_type = 'AUTO'
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._restart(self._container.demux(self._stream), first_frame=0)

    def _restart(self, packets, first_frame: Optional[int]) -> None:
        self._frames = self._decode(packets)
        # The frame number that decoding would give next; None: none known.
        self._next = first_frame
        self._sought = False

    def _time_by_header(self) -> bool:
        """Takes the frame times from an mp4's header, without reading on."""
        formats = self._container.format.name.split(',')
        entries = getattr(self._stream, 'index_entries', None)
        if 'mp4' not in formats or not entries:
            return False
        if self._stream.start_time is None:
            return False
        num = len(entries)
        times = np.empty(num, dtype=np.int64)
        keys = []
        for i, entry in enumerate(entries):
            if entry.is_discard:
                return False
            times[i] = entry.timestamp
            if entry.is_keyframe:
                keys.append(i)
        steps = np.diff(times)
        if num > 1 and (steps[0] <= 0 or (steps != steps[0]).any()):
            return False
        # The header tells decoding times. At a constant rate the times of
        # presentation are the same ones, shifted to the start of the stream;
        # every decoded frame is checked against that.
        self._times = times - times[0] + self._stream.start_time
        self._keys = np.asarray(keys, dtype=np.int64)
        return True

    def _time_by_demuxing(self) -> None:
        """Takes the frame times from all packets, decoding none."""
        times, keys, _, _ = scan_packets(self._container, self._stream)
        self._open()
        if not times:
            raise VideoReadError(f'{self._name} holds no video frames')
        self._times = np.unique(times)
        self._keys = np.searchsorted(self._times, np.unique(keys))
        if len(self._times) != len(times):
            self._count_from_start()

    def _invents_times(self) -> bool:
        return (self._times is not None
                and self._container.format.name == 'avi'
                and bool(self._stream.codec_context.has_b_frames))

    def _times_hold(self) -> bool:
        num = min(_NUM_CHECKED_FRAMES, len(self._times))
        seen = []
        try:
            for frame in self._frames:
                seen.append(self._number(frame))
                if len(seen) == num:
                    break
        except _WrongTimes:
            return False
        except av.FFmpegError:
            pass
        finally:
            self._open()
        return seen == list(range(len(seen)))

    def _count_from_start(self) -> None:
        """Gives up on frame times: frames are counted from the start."""
        global _count_mode_told
        if not _count_mode_told:
            _count_mode_told = True
            print_log(
                f'{self._name} stores no usable frame times, so that its '
                'clips are read from the start of the file, which is slow '
                'for long videos. Remedy: "ffmpeg -i IN -c copy OUT.mp4", or '
                'encode it anew. Told once, for the first such video.',
                logger='current',
                level=logging.WARNING)
        self._times = None
        self._open()

    # -- reading ------------------------------------------------------------

    def _read_sorted(self, wanted: list[int]) -> dict[int, np.ndarray]:
        _check_range(wanted, self.num_frames, self._name)
        return {i: self._read_one(i) for i in wanted}

    def _read_one(self, ind: int) -> np.ndarray:
        if self._must_seek(ind):
            self._seek(ind)
        for frame in self._frames:
            number = self._number(frame)
            if self._next is not None and number < self._next:
                # Frames before a keyframe that follow it in the file lack
                # what they refer to after a seek. Else times run backwards.
                if not self._sought:
                    raise _WrongTimes
                continue
            self._sought = False
            self._next = number + 1
            if number == ind:
                return self._to_array(frame)
            if number > ind:
                break
        self._next = None
        raise VideoReadError(f'frame {ind} of {self._name} cannot be decoded '
                             '(the file is damaged or ends before it)')

    def _must_seek(self, ind: int) -> bool:
        if self._next is None or ind < self._next:
            return True
        if self._times is None:
            return False
        # Is there a keyframe after the next frame, not after the wanted one?
        left, right = np.searchsorted(self._keys, [self._next, ind], 'right')
        return bool(right > left)

    def _seek(self, ind: int) -> None:
        if self._times is None:
            self._open()
            return
        target, back = ind, 1
        while target > 0:
            self._container.seek(
                int(self._times[target]), stream=self._stream, backward=True)
            packets = self._container.demux(self._stream)
            packet = next((p for p in packets if p.is_keyframe), None)
            time = None if packet is None else _time_of(packet)
            if time is not None:
                # The keyframe itself may be hidden (an edit list that starts
                # behind it): the next shown frame counts.
                key = int(np.searchsorted(self._times, time))
                if key <= ind:
                    self._restart(_chain(packet, packets), first_frame=key)
                    self._sought = True
                    return
            # Landed behind the frame: a seek goes by decoding times.
            target, back = max(0, target - back), back * 8
        self._open()

    def _decode(self, packets):
        for packet in packets:
            yield from packet.decode()

    def _number(self, frame) -> int:
        if self._times is None:
            return self._next
        number = self._lookup(_time_of(frame))
        if number is None:
            raise _WrongTimes
        return number

    def _lookup(self, time: Optional[int]) -> Optional[int]:
        if time is None:
            return None
        number = int(np.searchsorted(self._times, time))
        if number == len(self._times) or self._times[number] != time:
            return None
        return number

    def _to_array(self, frame) -> np.ndarray:
        # One converter for all frames: setting one up costs more than using
        # it. The copy is writable and outlives the decoder's buffer.
        try:
            # In one thread: freed in a forked worker, a converter waits for
            # ever for threads that stayed behind in the parent.
            image = self._reformatter.reformat(
                frame, format='rgb24', threads=1)
        except TypeError:  # PyAV of old has no such threads
            image = self._reformatter.reformat(frame, format='rgb24')
        return np.array(image.to_ndarray(), order='C')


class _WrongTimes(Exception):
    """A decoded frame has a time that the reader did not expect."""


def _chain(first, rest):
    yield first
    yield from rest


def _check_range(wanted: list[int], num_frames: Optional[int],
                 name: str) -> None:
    if wanted[0] < 0 or (num_frames is not None and wanted[-1] >= num_frames):
        raise VideoReadError(
            f'frames {wanted[0]} to {wanted[-1]} asked of {name}, which has '
            f'{num_frames} frames, numbered from 0')


def _in_order(frames: dict[int, np.ndarray],
              inds: list[int]) -> list[np.ndarray]:
    """Frames in the asked order; no two share memory.

    Transforms such as MMAction2's ``Flip`` work in place: a frame that stands
    twice in a clip would be flipped twice.
    """
    used = set()
    out = []
    for i in inds:
        out.append(frames[i].copy() if i in used else frames[i])
        used.add(i)
    shapes = {img.shape for img in out}
    if len(shapes) > 1:
        raise VideoReadError(f'frames {min(inds)} to {max(inds)} differ in '
                             f'size: {sorted(shapes)}')
    return out


class PacketScan(NamedTuple):
    """What the packets of a video stream tell.

    Attributes:
        times (list[int]): Presentation times of the pictures that are shown,
            in file order, in the stream's time base.
        keys (list[int]): Those of the keyframes, shown or not.
        hidden (int): Number of pictures that an edit list hides.
        damaged (int): Number of packets that are damaged or cut off; they
            are in none of the others.
    """
    times: list
    keys: list
    hidden: int
    damaged: int


def scan_packets(container, stream) -> PacketScan:
    """Reads all packets of a stream without decoding them.

    Args:
        container: PyAV container, at its start.
        stream: The video stream.

    Returns:
        PacketScan: What they tell.
    """
    times, keys, hidden, damaged = [], [], 0, 0
    for packet in container.demux(stream):
        if not packet.size:
            # What ends the stream, and what AVI puts for a dropped frame.
            continue
        if packet.is_corrupt:
            damaged += 1
            continue
        time = _time_of(packet)
        time = len(times) if time is None else time
        if packet.is_keyframe:
            keys.append(time)
        if packet.is_discard:
            hidden += 1
        else:
            times.append(time)
    return PacketScan(times, keys, hidden, damaged)


class DecordReader:
    """Random access to the frames of one video by decord 0.6.

    Decord is right on mp4 with closed groups of pictures. It returns wrong
    frames without a word for HEVC, for H.264 with open groups and in AVI or
    MPEG-TS, and for MPEG-4 with B-frames: take PyAV for those.

    Args:
        source (str | io.BytesIO): Path of the video, or its bytes.
        num_threads (int): Decoding threads, 0 for automatic. Defaults to 1.
        name (str, optional): What error messages call the video. Defaults to
            None, the path.

    Raises:
        VideoReadError: If the file cannot be opened.
    """

    def __init__(self,
                 source: Source,
                 num_threads: int = 1,
                 name: Optional[str] = None) -> None:
        if decord is None:
            raise ImportError(
                'decord is not installed; run "pip install decord", or set '
                "backend='pyav' and install av.")
        self._name = name or str(source)
        if isinstance(source, io.BytesIO):
            source.seek(0)
        try:
            self._reader = decord.VideoReader(source, num_threads=num_threads)
        except (decord.DECORDError, RuntimeError, OSError, ValueError) as e:
            raise VideoReadError(
                f'cannot open video {self._name}: {_first_line(e)}') from e

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self._reader)

    def close(self) -> None:
        """Closes the file."""
        self._reader = None

    def read(self, frame_inds: Sequence[int]) -> list[np.ndarray]:
        """Reads frames, see :meth:`PyAVReader.read`."""
        inds = [int(i) for i in frame_inds]
        wanted = sorted(set(inds))
        _check_range(wanted, self.num_frames, self._name)
        try:
            batch = self._reader.get_batch(wanted).asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as e:
            raise VideoReadError(
                f'cannot decode frames {min(inds)} to {max(inds)} of '
                f'{self._name}: {_first_line(e)}') from e
        return _in_order(dict(zip(wanted, batch)), inds)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else repr(error)


BACKENDS: dict[str, Callable] = {'pyav': PyAVReader, 'decord': DecordReader}


def choose_backend(backend: str) -> str:
    """Resolves ``'auto'`` and checks that a backend is installed.

    Args:
        backend (str): ``'auto'`` (PyAV where installed, else decord),
            ``'pyav'`` or ``'decord'``.

    Returns:
        str: ``'pyav'`` or ``'decord'``.

    Raises:
        ValueError: If the name is another one.
        ImportError: If the backend is not installed.
    """
    installed = {'pyav': av is not None, 'decord': decord is not None}
    if backend != 'auto' and backend not in installed:
        raise ValueError(f"backend={backend!r} is unknown; it must be 'auto', "
                         "'pyav' or 'decord'")
    if backend == 'auto':
        backend = 'pyav' if installed['pyav'] else 'decord'
    if not installed[backend]:
        package = {'pyav': 'av', 'decord': 'decord'}[backend]
        raise ImportError(f'{package} is needed to read videos with '
                          f'backend={backend!r}; run "pip install {package}"')
    return backend


class ReaderCache:
    """Open readers of the videos used last, at most ``size`` of them.

    Args:
        size (int): Number of readers kept open; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.opened = 0
        self._readers: OrderedDict = OrderedDict()
        self._evicted: OrderedDict = OrderedDict()
        self._requests = 0
        self._reopened = 0
        self._warned = False

    def __len__(self) -> int:
        """Number of open readers."""
        return len(self._readers)

    def get(self, key: str, open_reader: Callable):
        """Returns the reader of ``key``, opening it where necessary."""
        self._requests += 1
        if key in self._readers:
            self._readers.move_to_end(key)
            return self._readers[key]
        self._look_for_thrashing(key)
        # Room first, so that never more than `size` files are open.
        while self._readers and len(self._readers) >= max(self.size, 1):
            old, reader = self._readers.popitem(last=False)
            reader.close()
            self._evicted[old] = self._requests
            if len(self._evicted) > 4 * max(self.size, 1):
                self._evicted.popitem(last=False)
        reader = open_reader()
        self.opened += 1
        self._readers[key] = reader
        return reader

    def drop(self, key: str) -> None:
        """Closes and forgets the reader of ``key``, if there is one."""
        reader = self._readers.pop(key, None)
        if reader is not None:
            reader.close()

    def release(self, key: str) -> None:
        """Ends the use of a reader: with ``size=0`` it is closed."""
        if self.size == 0:
            self.drop(key)

    def _look_for_thrashing(self, key: str) -> None:
        since = self._requests - self._evicted.pop(key, -1 << 60)
        if self.size == 0 or since > 4 * self.size:
            return
        self._reopened += 1
        if self._reopened > 4 * self.size and not self._warned:
            self._warned = True
            print_log(
                f'LoadVideoClip keeps cache_size={self.size} videos open, '
                'and keeps re-opening videos that it has just closed. Set '
                'cache_size to at least the batch size (the number of videos '
                'that a batch reads from).',
                logger='current',
                level=logging.WARNING)
