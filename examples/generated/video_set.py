# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Writing sets of generated videos: files that decode to what was drawn."""
import os
import os.path as osp
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import mmengine
import numpy as np
from mmengine.fileio import dump, load

from mmaction_memvit.video import probe_video
from mmaction_memvit.video.index import write_video_index

# Grey levels by which the brightness of a decoded video may differ from what
# was drawn, in the mean. Quantisation costs 2 to 4.
MAX_ERROR = 8.0
# The encoder's limit.
_MAX_GOP = 600


def write_video(path: str, frames: np.ndarray, fps: float,
                keyframes: Container[int]) -> None:
    """Write RGB frames (N, H, W, 3) as .mp4 (MPEG-4, constant quantiser).

    A later frame must not carry traces of a cue. With OpenCV's writer it does:
    frames predicted from one another and rate control leave a ghost of up to
    16 grey levels in later clips, enough to cheat. Here every clip starts with
    a key frame (``keyframes`` are their numbers) and the quantiser never
    changes, so what a clip decodes to depends on that clip alone.
    """
    with av.open(path, 'w', format='mp4') as container:
        stream = container.add_stream(
            'mpeg4', rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        # A scene cut must not move the key frames; one thread and no B-frames
        # keep the file the same everywhere and seeking cheap.
        stream.options = {
            'qmin': '2',
            'qmax': '2',
            'bf': '0',
            'sc_threshold': '1000000000'}
        stream.codec_context.gop_size = _MAX_GOP
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame), format='rgb24')
            if number in keyframes:
                picture.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read_video(path: str) -> np.ndarray:
    """Read all frames of a video with OpenCV: RGB, uint8 (N, H, W, 3)."""
    capture, frames = cv2.VideoCapture(path), []
    while True:
        more, frame = capture.read()
        if not more:
            break
        frames.append(frame[..., ::-1])
    capture.release()
    return np.array(frames, np.uint8)


def store_video(path: str, frames: np.ndarray, fps: float,
                keyframes: Container[int]) -> dict[str, Any]:
    """Write a video as :func:`write_video`; returns its entry in the index.

    It is a RuntimeError if the file does not read back as drawn.
    """
    write_video(path, frames, fps, keyframes)
    decoded = read_video(path)
    if len(decoded) != len(frames):
        raise RuntimeError(
            f'{path}: wrote {len(frames)} frames but read {len(decoded)}; '
            'check the disk space and the FFmpeg of PyAV and OpenCV')
    # In brightness: colours are stored at half the resolution.
    error = np.abs(decoded.mean(-1) - frames.mean(-1)).mean()
    if error > MAX_ERROR:
        raise RuntimeError(
            f'{path}: decoded frames differ from the drawn ones by '
            f'{error:.1f} grey levels (at most {MAX_ERROR:.1f}); check the '
            'FFmpeg of PyAV and OpenCV')
    return probe_video(path)


def make_videos(work: Callable[[Any], dict[str, Any]], plans: Sequence[Any],
                names: Sequence[str], folder: str, index_file: str,
                num_workers: int, chunksize: int = 1) -> None:
    """Make videos, in several processes, and write their index.

    Args:
        work (Callable): Makes the video of a plan; returns its entry.
        plans (Sequence): The plans.
        names (Sequence[str]): What the videos are called in the index: their
            paths under ``folder``.
        folder (str): Where they are; made if it is not there.
        index_file (str): File to write.
        num_workers (int): Processes; 0 or 1 works in this one.
        chunksize (int): Plans that go to one process together: a family of
            twins, which share the drawing of the scene. Defaults to 1.
    """
    for name in {osp.dirname(name) for name in names}:
        mmengine.mkdir_or_exist(osp.join(folder, name))
    if num_workers > 1:
        entries = mmengine.track_parallel_progress(
            work, plans, num_workers, initializer=cv2.setNumThreads,
            initargs=(1, ), chunksize=chunksize)
    else:
        entries = mmengine.track_progress(work, plans)
    write_video_index(dict(zip(names, entries)), index_file)


def make_set(meta_file: str, meta: dict[str, Any], force: bool,
             write: Callable[[], None]) -> dict[str, Any]:
    """Make a set by ``write``, or leave it alone if it is there already.

    ``meta_file`` is written last and says that the set is complete; what it is
    to hold, and ``force``, see :func:`is_made`.
    """
    if is_made(meta_file, meta, force):
        print(f'{osp.dirname(meta_file)} already holds this set')
        return meta
    write()
    dump(meta, meta_file, indent=1)
    return meta


def is_made(meta_file: str, meta: dict[str, Any], force: bool) -> bool:
    """Tell whether a set is there already, made with the same options.

    Args:
        meta_file (str): JSON file, written when a set is complete.
        meta (dict): What it is to hold: ``spec`` (options), ``label_cues``,
            ``splits`` (each with ``videos``, paths in the file's folder), and
            anything else.
        force (bool): Whether to remove the videos of another set; else that
            is a FileExistsError.
    """
    if not osp.exists(meta_file):
        return False
    old = load(meta_file)
    if old == meta:
        return True
    if not force:
        raise FileExistsError(
            f'{meta_file} belongs to a set made with other options or by '
            'another version; choose another folder or pass --force to '
            'replace it')
    # Videos of the old set that the new one lacks would only confuse.
    for split in old.get('splits', {}).values():
        for name in split['videos']:
            path = osp.join(osp.dirname(meta_file), name)
            if osp.isfile(path):
                os.remove(path)
    os.remove(meta_file)
    return False
