# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Loading of the frames of a clip."""
import io
import os
from collections import OrderedDict, deque
from typing import Any, Callable, Optional

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.fileio import get

from ...messages import warn
from ...video import FrameTable, VideoReadError, probe_video, reader_of

# Caches taken over from the parent by a fork. They are neither used (a file
# position is shared with the parent) nor destroyed (a decoder would wait for
# threads that the fork left behind).
_inherited: list = []


class ReaderCache:
    """Open readers of the videos used last, at most ``size``; 0 keeps none.

    They are those of a process: copies, and the processes that it starts,
    begin without any.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._begin()

    def _begin(self) -> None:
        self.opened = 0
        self._readers: OrderedDict = OrderedDict()
        self._closed: deque = deque(maxlen=self.size)
        self._reopened = 0
        self._owner = os.getpid()

    def __reduce__(self) -> tuple:
        return ReaderCache, (self.size, )

    def __len__(self) -> int:
        """Number of open readers."""
        return len(self._readers)

    def get(self, key: str, open_reader: Callable):
        """Returns the reader of ``key``, opening it where necessary."""
        if self._owner != os.getpid():
            _inherited.append(self._readers)
            self._begin()
        if key in self._readers:
            self._readers.move_to_end(key)
            return self._readers[key]
        self._reopened += key in self._closed
        if key in self._closed and self._reopened == 4 * self.size:
            warn(f'Loading keeps cache_size={self.size} videos open, '
                 'and keeps re-opening videos that it has just closed. Remedy:'
                 ' set cache_size to at least the batch size (the number of '
                 'videos that a batch reads from)')
        # Room first, so that never more than `size` files are open.
        while self._readers and len(self) >= max(self.size, 1):
            old = next(iter(self._readers))
            self.drop(old)
            self._closed.append(old)
        self._readers[key] = reader = open_reader()
        self.opened += 1
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


@TRANSFORMS.register_module()
class LoadVideoClip(BaseTransform):
    """Loads the frames ``frame_inds`` of a video.

    Takes the place of ``DecordInit`` and ``DecordDecode`` and leaves the same
    results. Readers stay open, a clip costs the same wherever in the video it
    lies, and the frames are the right ones for every codec (PyAV).

    Required are ``filename`` and ``frame_inds``; without ``frame_table``, the
    entry of the video in an index, the file is scanned when it is opened.
    Added are ``imgs`` (list[np.ndarray]), RGB, uint8, of shape (H, W, 3),
    ``original_shape`` and ``img_shape``, (H, W). ``gt_bboxes`` and
    ``proposals`` become pixels, from shares of the image's size.

    Args:
        backend (str): ``'pyav'`` (``'auto'`` means the same) or
            ``'decord'``, which refuses files whose frames it would number
            wrongly: HEVC, H.264 with open groups of pictures, AVI, MPEG-TS.
            Defaults to ``'auto'``.
        num_threads (int): Decoding threads per video, 0 for as many as FFmpeg
            likes. With several data loader workers 1 is best. Defaults to 1.
        short_side (int, optional): Scales frames while they are converted to
            RGB, so that the shorter side has so many pixels, in place of
            ``Resize`` with ``scale=(-1, short_side)``; boxes follow. It saves
            time; pixels differ a little from OpenCV's. Defaults to None.
        size (tuple[int, int], optional): Likewise scales to this width and
            height, in place of ``Resize`` with ``scale=size`` and
            ``keep_ratio=False``. Defaults to None.
        cache_size (int): Number of videos that every worker keeps open, at
            least the batch size; 0 opens a video anew for every clip.
            Defaults to 16.
        io_backend (str): Where the videos are. ``'disk'`` reads files in
            place, other backends of MMEngine's fileio fetch the whole file
            into memory. Defaults to ``'disk'``.
        kwargs (dict): Further arguments of that backend.

    Raises:
        VideoReadError: In use, if the video or the frames cannot be read. An
            :class:`OnlineVideoDataset` swaps the sample then, in training.
    """

    def __init__(self, backend: str = 'auto', num_threads: int = 1,
                 cache_size: int = 16, short_side: Optional[int] = None,
                 size: Optional[tuple[int, int]] = None,
                 io_backend: str = 'disk', **kwargs) -> None:
        if short_side is not None and size is not None:
            raise ValueError(f'short_side={short_side} and size={size} '
                             'exclude each other. Remedy: set one of them')
        self.short_side = short_side
        self.size = size
        self.reader = reader_of(backend)
        self.num_threads = num_threads
        self.io_backend = io_backend
        self.kwargs = kwargs
        self._cache = ReaderCache(cache_size)

    def transform(self, results: dict) -> dict:
        """Loads the frames."""
        if 'frame_inds' not in results:
            raise KeyError(
                "LoadVideoClip needs results['frame_inds']. Remedy: use "
                'OnlineVideoDataset, which gives it, or a sampling transform '
                'before it')
        frame_inds = np.asarray(results['frame_inds']).reshape(-1)
        results['frame_inds'] = frame_inds
        filename = results['filename']
        cache = self._cache
        try:
            entry = results.get('frame_table')
            reader = cache.get(filename, lambda: self._open(filename, entry))
            imgs = reader.read(frame_inds, self._scaled_size(reader.table))
        except VideoReadError:
            # What is left of the reader's state is not to be relied upon.
            cache.drop(filename)
            raise
        cache.release(filename)

        results['imgs'] = imgs
        results['original_shape'] = (reader.table.height, reader.table.width)
        results['img_shape'] = imgs[0].shape[:2]
        self._scale_boxes(results)
        return results

    @staticmethod
    def _scale_boxes(results: dict) -> None:
        height, width = results['img_shape']
        scale = np.array([width, height, width, height], dtype=np.float32)
        for key in ('gt_bboxes', 'proposals'):
            if 'gt_bboxes' in results and results.get(key) is not None:
                results[key] = (results[key] * scale).astype(np.float32)

    def _scaled_size(self, table: FrameTable) -> Optional[tuple[int, int]]:
        """Width and height of the frames, None as they are."""
        if self.short_side is None:
            return None if self.size is None else tuple(self.size)
        scale = self.short_side / min(table.width, table.height)
        # As mmcv rounds.
        return tuple(int(x * scale + 0.5) for x in (table.width, table.height))

    def _open(self, filename: str, entry: Optional[dict]):
        source: Any = filename
        if self.io_backend != 'disk':
            backend_args = dict(backend=self.io_backend, **self.kwargs)
            source = io.BytesIO(get(filename, backend_args=backend_args))
        return self.reader(
            source, num_threads=self.num_threads, name=filename,
            table=None if entry is None else FrameTable(entry))

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(reader={self.reader.__name__}, '
                f'short_side={self.short_side}, size={self.size}, '
                f'cache_size={self._cache.size})')


@TRANSFORMS.register_module()
class VideoInit(BaseTransform):
    """Finds out how long a video is, where nobody has told.

    It takes the place of ``DecordInit`` before ``SampleFrames`` and
    :class:`LoadVideoClip`. Data sets with an ``index_file`` know; MMAction2's
    ``VideoDataset``, ``inference_recognizer`` and ``MMAction2Inferencer`` name
    a file (``filename``) and no more. It is then read through once without
    decoding, as headers are not to be believed.

    Added, unless ``total_frames`` is there, are ``total_frames`` (int),
    ``fps`` and ``avg_fps`` (float), ``frame_table`` (dict), see
    :mod:`mmaction_memvit.video.frames`. A video that cannot be read is a
    VideoReadError.
    """

    def transform(self, results: dict) -> dict:
        """Adds the length of the video."""
        if 'total_frames' in results:
            return results
        entry = probe_video(results['filename'])
        if not entry['num_frames']:
            raise VideoReadError(
                f"{results['filename']} {entry['problem']}. Remedy: check the "
                'path; convert or leave out videos that do not decode')
        results['total_frames'] = entry['num_frames']
        results['fps'] = results['avg_fps'] = entry['fps']
        results['frame_table'] = entry
        return results
