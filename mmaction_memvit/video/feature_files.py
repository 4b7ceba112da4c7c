# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files of feature vectors, one or many videos each.

- ``NAME.npz`` of tools/extract_features.py, or any with ``features``, and
  perhaps ``times`` and ``fps``;
- ``NAME.npy``, an array;
- ``NAME.h5``, ``NAME.hdf5``: its ``features``, or its only data set; or one
  file of all videos, a data set each;
- a folder of LMDB (``data.mdb``) of all videos, as RULSTM publishes them: a
  float32 vector under each key ``{video}_frame_{number:010d}.jpg``.

Features are (L, C), or (L, T, C) with T vectors a clip.
"""
import json
import os.path as osp
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType
from typing import Any, Optional

import numpy as np

from ..messages import data_error, first_names
from .find import is_video

_HDF5 = ('.h5', '.hdf5', '.hdf')
SUFFIXES = ('.npz', '.npy', *_HDF5)
# Seconds that the starts of one clip may differ by.
SAME_CLIP = 1e-3
# Bytes of arrays that are read rather than mapped.
_SMALL = 1 << 16
# Raised by what reads a damaged file.
_BROKEN = ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error
_one_at_a_time = threading.Lock()


class FeatureFile:
    """The features of a video.

    Args:
        path (str): The file, or the folder of LMDB.
        key (str): Name of the video in a file of many. Defaults to ''.
    """

    def __init__(self, path: str, key: str = '') -> None:
        self.path = path
        self.key = key
        #: np.ndarray: What the file says beside features, by name.
        self.told: dict[str, np.ndarray] = {}
        try:
            found = self._open()
        except FileNotFoundError:
            raise
        except _BROKEN as e:
            raise data_error(str(self), f'it cannot be read ({e})',
                             'extract it anew, or write it by np.save') from e
        self.rows = found if hasattr(found, 'shape') else (
            self._take_features(found))
        # Rows of LMDB are float32.
        kind = getattr(self.rows, 'dtype', np.dtype(np.float32))
        if kind.kind not in 'biuf':
            raise data_error(str(self), f'values of type {kind}, but numbers '
                             'are needed', 'write it anew, as float16')
        if self.rows.ndim not in (1, 2, 3) or not len(self.rows):
            raise data_error(
                str(self), f'an array of shape {tuple(self.rows.shape)}, but '
                '(L, C), or (L, T, C), is needed, with L above 0',
                'one row a clip or frame')

    def _open(self) -> Any:
        """The array, of which parts are read, or several by name."""
        if osp.isdir(self.path):
            return _LmdbRows(self.path, self.key)
        if self.path.endswith('.npy'):
            return np.load(self.path, mmap_mode='r')
        if self.path.endswith('.npz'):
            return _open_npz(self.path)
        self._file = need('h5py').File(self.path, 'r')
        found = self._file[self.key] if self.key else self._file
        return found if hasattr(found, 'shape') else dict(found.items())

    def _take_features(self, arrays: dict) -> Any:
        if 'features' not in arrays and len(arrays) != 1:
            raise data_error(str(self), f'it holds {first_names(arrays)}',
                             "name the array 'features'")
        self.told = arrays
        return arrays.pop('features' if 'features' in arrays else
                          next(iter(arrays)))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __str__(self) -> str:
        return f'{self.path}:{self.key}' if self.key else self.path

    @cached_property
    def times(self) -> Optional[np.ndarray]:
        """np.ndarray: float64 (L, ), seconds at which rows begin."""
        if 'times' not in self.told:
            return None
        times = np.asarray(self.told['times'], float)
        if times.shape != (len(self), ) or (np.diff(times) <= 0).any():
            raise data_error(
                str(self), f'its times have shape {times.shape}, features '
                f'{tuple(self.rows.shape)}', 'one time a row, ascending')
        return times

    @property
    def video(self) -> Optional[dict]:
        """dict: The video that clips were taken from, as an index has it."""
        told = self.told.get('video')
        return None if told is None else json.loads(str(np.asarray(told)))

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Some rows, by their numbers, which may be repeated."""
        rows = np.asarray(rows)
        if rows.min() < 0 or rows.max() >= len(self):
            raise data_error(str(self), f'row {rows.max()} of {len(self)}',
                             'extract features of the whole video')
        rows, places = np.unique(rows, return_inverse=True)
        if rows[-1] - rows[0] == len(rows) - 1:
            rows = slice(rows[0], rows[-1] + 1)
        return np.asarray(self.rows[rows])[places]

    def row_at(self, seconds: float) -> int:
        """The row that begins at a time, of a file that tells times."""
        if self.times is None:
            raise data_error(str(self), 'it has no times, unlike the file '
                             'beside it', 'extract both alike')
        row = int(np.abs(self.times - seconds).argmin())
        if abs(self.times[row] - seconds) > SAME_CLIP:
            raise data_error(
                str(self), f'no clip begins at {seconds:.3f} s; the nearest '
                f'does at {self.times[row]:.3f} s, the first ones at '
                f'{self.times[:3].round(3).tolist()}',
                'clip_len, frame_interval, clip_stride and sample_fps as '
                'they were when features were extracted, or extract anew')
        return row

    def close(self) -> None:
        """Lets go of the file."""
        self.rows = None
        self.told = {}
        if hasattr(self, '_file'):
            self._file.close()


class _LmdbRows:
    """Features of a video's frames as an array that is read in parts."""

    ndim = 2

    def __init__(self, path: str, video: str) -> None:
        self._path = path
        self._name = f'{video}_frame_'
        with _transaction(path) as transaction:
            cursor = transaction.cursor()
            found = cursor.set_range(f'{self._name}0'.encode())
            self._first = self._number(cursor.key()) if found else None
            if self._first is None:
                raise FileNotFoundError(
                    f'{path} has no key that begins with {self._name!r}')
            self._width = len(cursor.value()) // 4
            # The key before the first one that begins otherwise.
            if cursor.set_range(f'{self._name}:'.encode()):
                cursor.prev()
            else:
                cursor.last()
            self._num = self._number(cursor.key()) - self._first + 1
        self.shape = self._num, self._width

    def _number(self, key: bytes) -> Optional[int]:
        name = key.decode()
        if not name.startswith(self._name):
            return None
        return int(name[len(self._name):].partition('.')[0])

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, rows: Any) -> np.ndarray:
        numbers = np.arange(self._first, self._first + self._num)[rows]
        out = np.empty((len(numbers), self._width), np.float32)
        with _transaction(self._path) as transaction:
            for i, number in enumerate(numbers):
                key = f'{self._name}{number:010d}.jpg'
                value = transaction.get(key.encode())
                if value is None or len(value) != 4 * self._width:
                    raise data_error(
                        self._path, f'{key} has '
                        f'{value and len(value)} bytes, not '
                        f'{4 * self._width}', 'download it anew')
                out[i] = np.frombuffer(value, np.float32)
        return out


@contextmanager
def _transaction(path: str) -> Iterator[Any]:
    """Reads from the LMDB of a folder.

    It is open no longer than that: an environment may be open once in a
    process, and must not pass to workers that the process forks.
    """
    with _one_at_a_time, need('lmdb').open(
            path, readonly=True, lock=False, readahead=False) as environment:
        with environment.begin() as transaction:
            yield transaction


def need(library: str) -> ModuleType:
    """An optional library; the error says how it is installed."""
    try:
        return __import__(library)
    except ImportError as e:
        raise ImportError(f'files of {library} need it. Remedy: pip install '
                          f'{library}') from e


def _open_npz(path: str) -> dict[str, np.ndarray]:
    """Arrays of a file, not read before they are used where possible."""
    arrays = {}
    with zipfile.ZipFile(path) as file, open(path, 'rb') as raw:
        for member in file.infolist():
            name = osp.splitext(member.filename)[0]
            if (member.compress_type == zipfile.ZIP_STORED
                    and member.file_size > _SMALL):
                arrays[name] = _map_member(path, raw, member)
    with np.load(path, allow_pickle=False) as file:
        return {k: arrays[k] if arrays.get(k) is not None else file[k]
                for k in file.files}


def _map_member(path: str, raw: Any,
                member: zipfile.ZipInfo) -> Optional[np.ndarray]:
    """Maps an array that is stored as it is into memory."""
    # Of the file's own header, which may be longer than the list's.
    raw.seek(member.header_offset + 26)
    name, extra = np.frombuffer(raw.read(4), '<u2').tolist()
    raw.seek(member.header_offset + 30 + name + extra)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0
    }.get(np.lib.format.read_magic(raw))
    if read_header is None:
        return None
    shape, fortran, dtype = read_header(raw)
    if dtype.hasobject or not shape or 0 in shape:
        return None
    return np.memmap(path, dtype, 'r', raw.tell(), shape,
                     'F' if fortran else 'C')


def find_feature_file(root: str, names: Iterable[str]) -> tuple[str, str]:
    """Path and key of the first of some names that has features.

    ``root`` is a folder of files, a folder of LMDB, or an HDF5 file. Names,
    from there, may have the suffix of a video.

    Raises:
        FileNotFoundError: If there are none.
    """
    stems = [osp.splitext(x)[0] if is_video(x) else x for x in names]
    if osp.isfile(osp.join(root, 'data.mdb')):
        return root, osp.basename(stems[0])
    if osp.isfile(root) and root.endswith(_HDF5):
        with need('h5py').File(root, 'r') as file:
            for stem in stems:
                if stem in file:
                    return root, stem
        raise FileNotFoundError(f'{root} has no {stems[0]!r}')
    for stem in stems:
        for suffix in SUFFIXES:
            path = osp.join(root, stem + suffix)
            if osp.isfile(path):
                return path, ''
    raise FileNotFoundError(osp.join(root, stems[0]) + '.npz')


class FeatureStack:
    """Features of a video that lie in one or more files, side by side.

    Args:
        places (Sequence[tuple]): Path and key of each, such as of RGB and
            flow, see :func:`find_feature_file`.

    Raises:
        ValueError: If their numbers of rows differ.
    """

    def __init__(self, places: Sequence[tuple[str, str]]) -> None:
        self.files = [FeatureFile(*place) for place in places]
        counts = [len(x) for x in self.files]
        if len(set(counts)) > 1:
            raise data_error(
                ', '.join(map(str, self.files)), f'{counts} rows, but '
                'features of one clip or frame are to stand side by side',
                'cut them to the same number, or extract them by the same '
                'grid')

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.files[0])

    @property
    def channels(self) -> int:
        """Channels of all files."""
        return sum(x.rows.shape[-1] for x in self.files)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Rows, float32 (N, C) or (N, T, C), C the sum of all files."""
        return np.concatenate([x.read(rows) for x in self.files],
                              -1).astype(np.float32, copy=False)

    def read_at(self, seconds: float) -> np.ndarray:
        """The row that begins at a time, by each file's own times."""
        return np.concatenate(
            [x.read([x.row_at(seconds)]) for x in self.files],
            -1).astype(np.float32, copy=False)

    def describe(self, fps: Optional[float], by_row: bool) -> dict:
        """The video, as data sets know it.

        Args:
            fps (float, optional): Rows a second, where files do not tell.
            by_row (bool): Whether rows are taken for the frames; else a file
                of clips stands for the video that they were taken from.

        Returns:
            dict: ``num_frames``, ``fps``; ``feature_of``, which is 'clip' or
            'frame'; of rows that are not evenly spaced from 0 on ``times``.
        """
        file = self.files[0]
        if not by_row and file.video is not None:
            return dict(file.video, feature_of='clip')
        if file.rows.ndim != 2:
            raise data_error(
                str(file), f'an array of shape {tuple(file.rows.shape)}, but '
                '(L, C) is needed where a row is a frame', 'extract features '
                'without --per-frame, or take OnlineVideoDataset')
        times = file.times
        if times is not None and len(times) > 1:
            fps = (len(times) - 1) / float(times[-1] - times[0])
        elif 'fps' in file.told:
            fps = float(np.asarray(file.told['fps']))
        if not fps or fps < 0:
            raise data_error(str(file), f'fps={fps} is no number of features '
                             'a second', 'set fps of the data set')
        told = dict(num_frames=len(self), fps=fps, feature_of='frame')
        if times is not None and np.abs(
                times - np.arange(len(times)) / fps).max() > SAME_CLIP:
            told['times'] = times
        return told

    def check_clips(self, starts: Sequence[float], **grid: int) -> None:
        """Raises an error if features were taken from other clips.

        Args:
            starts (Sequence): Seconds at which some of the clips begin.
            **grid: ``clip_len`` and ``frame_interval``.
        """
        for file in self.files:
            told = {k: int(np.asarray(file.told[k])) for k in grid
                    if k in file.told}
            if told != {k: grid[k] for k in told}:
                raise data_error(
                    str(file), f'features of clips of {told}, but the data '
                    f'set has {grid}', 'set what features were taken with, '
                    'or extract them anew')
            for seconds in starts:
                file.row_at(seconds)

    def close(self) -> None:
        """Lets go of the files."""
        for file in self.files:
            file.close()
