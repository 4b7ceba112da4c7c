# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Frame counts of videos, found by reading them and kept in an index file.

An index is a JSON file that maps every video's path, as written in the
annotation list, to its entry::

    {"v/001.mp4": {"num_frames": 9000, "fps": 30.0, "width": 640,
                   "height": 480, "size": 5242880}, ...}

``size`` is the file's size in bytes; it tells whether the index still fits
the videos. A video that cannot be read has ``num_frames`` 0. ``problem`` says
what is wrong with a video and ``time_drift`` by how many seconds at most
frame times differ from frame number / fps, where that is worth mentioning.
"""
import os
import os.path as osp
import time
from collections.abc import Iterable, Mapping
from typing import Optional

import mmengine
import numpy as np
from mmengine.utils import ProgressBar

from .video_reader import VideoReadError, _time_of, av, scan_packets

_READ_ERRORS = (OSError, ValueError, IndexError, VideoReadError)
if av is not None:
    _READ_ERRORS += (av.FFmpegError, )
# Seconds between two writings of an index that is being built.
_SAVE_EVERY = 30.
# Seconds by which a video may end before what its file announces.
_END_TOLERANCE = 1.


def probe_video(path: str, decode: bool = False) -> dict:
    """Counts the frames of a video by reading it.

    What headers say is not believed: AVI headers are often wrong. All
    packets are read, which takes about as long as copying the file, and what
    follows the last keyframe is decoded, to find a cut-off end. Where packets
    do not tell (AVI with B-frames), everything is decoded.

    Args:
        path (str): Path of the video.
        decode (bool): Whether to decode all frames, which also finds damage
            in the middle of a file and takes much longer. Defaults to False.

    Returns:
        dict: ``num_frames`` (int; frames from the start that can be read),
        ``fps`` (float; frames per second from first to last frame),
        ``width`` and ``height`` (pixels), ``size`` (bytes) and, only where
        there is something to tell, ``problem`` (str) and ``time_drift``
        (seconds). A file that cannot be read gives ``num_frames`` 0 and a
        ``problem``, and no error.
    """
    entry = {'num_frames': 0, 'fps': 0., 'width': 0, 'height': 0, 'size': 0}
    try:
        entry['size'] = osp.getsize(path)
        if av is None:
            _probe_by_opencv(path, entry)
        else:
            with av.open(path, metadata_errors='ignore') as container:
                _probe(container, entry, decode)
        if not entry['num_frames']:
            entry.setdefault('problem', 'no frame can be decoded')
    except _READ_ERRORS as e:
        entry.update(num_frames=0, problem=f'cannot be read: {e}')
    return entry


def _probe(container, entry: dict, decode: bool) -> None:
    if not container.streams.video:
        raise VideoReadError('no video stream')
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    announced = stream.frames if 'mp4' in container.format.name else 0
    entry.update(width=stream.width, height=stream.height)
    untimed = (container.format.name == 'avi'
               and bool(stream.codec_context.has_b_frames))
    if decode or untimed:
        times, error = _decode_times(container.decode(stream))
        num = len(times)
    else:
        times, keys, hidden, damaged = scan_packets(container, stream)
        error = f'{damaged} damaged packet(s)' if damaged else ''
        if announced > len(times) + hidden + damaged:
            error = 'cut off'
        num = len(times)
        if times:
            tail, tail_error = _decode_tail(container, stream, keys)
            error = tail_error or error
            times = sorted(times)
            if tail is None:
                num = 0
            elif tail < times[-1]:
                num = int(np.searchsorted(times, tail, 'right'))
                error = error or 'the end cannot be decoded'
    error = error or _find_early_end(times, container, stream)
    if error:
        whole = f' of {announced}' if announced > num else ''
        entry['problem'] = f'{error}; {num}{whole} frames can be read'
    entry['num_frames'] = num
    _describe_times(times[:num], stream, entry)


def _find_early_end(times: list[int], container, stream) -> str:
    """Says if the frames of a Matroska file end before they should.

    Matroska and WebM announce no number of frames, but how long they last.
    What other formats say of it is a guess of FFmpeg's, or not to be trusted.
    """
    # A single frame may be shown for as long as one likes.
    if 'matroska' not in container.format.name or len(times) < 2:
        return ''
    announced = _announced_seconds(container, stream)
    ticks = np.sort(np.asarray(times, dtype=np.float64))
    # How long the last frame is shown is not stored: not longer than others.
    end = (ticks[-1] + np.diff(ticks).max()) * float(stream.time_base)
    if announced is None or end > announced - _END_TOLERANCE:
        return ''
    return f'cut off after {end:.2f} of {announced:.2f} s'


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


def _decode_times(frames) -> tuple[list[int], str]:
    times: list[int] = []
    try:
        for frame in frames:
            time = _time_of(frame)
            times.append(len(times) if time is None else time)
    except (av.FFmpegError, ValueError) as e:
        return times, f'decoding fails after {len(times)} frames ({e})'
    return times, ''


def _decode_tail(container, stream,
                 keys: list[int]) -> tuple[Optional[int], str]:
    """Time of the last frame that decodes, from the last good keyframe."""
    error = ''
    for key in [*reversed(keys[-2:]), None]:
        if key is None:
            # No keyframe near the end leads anywhere: from the start.
            container.seek(0)
        else:
            container.seek(key, stream=stream, backward=True)
        times, failed = _decode_times(container.decode(stream))
        error = error or failed
        if times:
            return max(times), error and 'the end cannot be decoded'
    return None, error


def _describe_times(times: list[int], stream, entry: dict) -> None:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    entry['fps'] = rate
    seconds = np.sort(np.asarray(times, dtype=np.float64))
    if len(seconds) < 2 or stream.time_base is None:
        return
    seconds = (seconds - seconds[0]) * float(stream.time_base)
    if seconds[-1] <= 0:
        return
    fps = (len(seconds) - 1) / seconds[-1]
    # Container clocks tick in milliseconds or coarser; the declared rate is
    # more exact where the two agree to half a frame over the whole video.
    if rate and abs(len(seconds) - 1 - seconds[-1] * rate) < 0.5:
        fps = rate
    entry['fps'] = round(fps, 6)
    drift = np.abs(seconds - np.arange(len(seconds)) / fps).max()
    if drift > max(0.1, 1.5 / fps):
        entry['time_drift'] = round(float(drift), 3)


def _probe_by_opencv(path: str, entry: dict) -> None:
    """Without PyAV all frames are decoded by OpenCV."""
    import cv2
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        raise VideoReadError('OpenCV cannot open it')
    while capture.grab():
        entry['num_frames'] += 1
    entry.update(
        fps=float(capture.get(cv2.CAP_PROP_FPS)),
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    capture.release()


def load_video_index(index_file: str, build_command: str = '') -> dict:
    """Loads an index file and checks its form.

    Args:
        index_file (str): JSON file written by tools/data/build_video_index.py.
        build_command (str): The command that makes it, for error messages.

    Returns:
        dict: Entries by video path, see the module's description.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not an index.
    """
    remedy = build_command or 'build it by tools/data/build_video_index.py'
    if not mmengine.fileio.exists(index_file):
        raise FileNotFoundError(
            f'index_file {index_file!r} does not exist. Remedy: {remedy}')
    try:
        index = mmengine.load(index_file, file_format='json')
    except ValueError as e:
        raise ValueError(f'index_file {index_file!r} is no JSON file: {e}. '
                         f'Remedy: {remedy}') from e
    if not isinstance(index, dict):
        raise ValueError(f'index_file {index_file!r} holds a '
                         f'{type(index).__name__}, not a mapping of videos. '
                         f'Remedy: {remedy}')
    for video, entry in index.items():
        if (not isinstance(entry, dict)
                or not isinstance(entry.get('num_frames'), int)
                or entry['num_frames'] < 0 or
                (entry['num_frames'] and not entry.get('fps', 0) > 0)):
            raise ValueError(
                f'index_file {index_file!r}: the entry of {video!r} is '
                f'{entry!r}; it needs num_frames >= 0 and fps > 0. '
                f'Remedy: {remedy}')
    return index


def write_video_index(index: dict, index_file: str) -> None:
    """Writes an index so that an interruption leaves the old file whole.

    Args:
        index (dict): Entries by video path.
        index_file (str): Path of the JSON file.
    """
    folder = osp.dirname(osp.abspath(index_file))
    os.makedirs(folder, exist_ok=True)
    part = f'{index_file}.{os.getpid()}.part'
    mmengine.dump(index, part, file_format='json', indent=1)
    os.replace(part, index_file)


def known_entries(index: Mapping[str, dict],
                  paths: Mapping[str, str]) -> dict[str, dict]:
    """The entries of an index that still fit their files.

    What failed is to be tried again, since a file may have been mended.

    Args:
        index (Mapping[str, dict]): Entries by video.
        paths (Mapping[str, str]): Paths of the asked videos.

    Returns:
        dict[str, dict]: Entries of the asked videos that can be read and
        whose file is as large as it was.
    """
    known = {}
    for name, path in paths.items():
        entry = index.get(name)
        if (entry and entry['num_frames'] and osp.exists(path)
                and entry.get('size') == osp.getsize(path)):
            known[name] = entry
    return known


def gather_entries(index: dict,
                   entries: Iterable[tuple[str, dict]],
                   num: int,
                   index_file: Optional[str] = None) -> None:
    """Puts entries into an index, and shows how far it is.

    The file is written every 30 s, as a process that is killed writes nothing
    more, and at the end, also if that is an error or an interruption.

    Args:
        index (dict): Entries by video, which is changed.
        entries (Iterable[tuple[str, dict]]): Names and entries to come.
        num (int): Number of these.
        index_file (str, optional): The file. Defaults to None: no file.
    """
    bar = ProgressBar(num) if num else None
    saved = time.monotonic()
    try:
        for name, entry in entries:
            index[name] = entry
            if bar is not None:
                bar.update()
            if index_file and time.monotonic() - saved > _SAVE_EVERY:
                write_video_index(index, index_file)
                saved = time.monotonic()
        if bar is not None:
            bar.file.write('\n')
    finally:
        if index_file:
            write_video_index(index, index_file)


def check_on_disk(paths: Iterable[str], what: str) -> None:
    """Raises an error if paths are addresses of another storage.

    Args:
        paths (Iterable[str]): Paths of videos or of their folder.
        what (str): What they are, for the message.

    Raises:
        ValueError: If one is such as s3://bucket/a.mp4.
    """
    remote = [p for p in paths if '://' in p and not osp.exists(p)]
    if remote:
        raise ValueError(
            f'{what} {first_names(remote)}: not on a disk, so that the frames '
            'cannot be counted from here. Remedy: build the index where the '
            'videos lie on a disk, with their paths as in the list, and set '
            'index_file')


def first_names(names: Iterable[str], num: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    names = list(names)
    shown = ', '.join(repr(n) for n in names[:num])
    rest = len(names) - num
    return f'{shown} and {rest} more' if rest > 0 else shown
