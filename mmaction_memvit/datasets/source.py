# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where the pictures of an annotation file's videos are, and how many."""
import os
import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Callable, Optional, Union

from mmengine.dist import is_main_process
from mmengine.fileio import exists

from ..messages import (
    check_choice,
    check_number,
    first_names,
    tool,
    warn,
)
from ..video import probe_video
from ..video.find import (
    check_on_disk,
    find_videos,
    in_threads,
    is_outdated,
    load_video_index,
    match_videos,
)
from .stream import StreamDataset

BUILD_INDEX = tool('data/build_video_index.py')
# Without an index so many videos are counted without a hint to build one.
_FEW_VIDEOS = 20
# What a FrameTable needs of an entry, and what tells that it is uneven.
_TABLE_KEYS = ('num_frames', 'fps', 'width', 'height', 'table', 'time_drift',
               'start')


class Source:
    """Finds the pictures of videos that annotations name, and counts them.

    Each key of ``data_prefix`` has a class of its own, which names it: ``class
    VideoFiles(Source, key='video')``.

    Args:
        dataset (NamedVideoDataset): Whose videos they are.
    """

    kinds: dict[str, type['Source']] = {}
    key: str

    def __init_subclass__(cls, key: str) -> None:
        cls.key = key
        Source.kinds[key] = cls

    def __init__(self, dataset: 'NamedVideoDataset') -> None:
        self.dataset = dataset
        self.policy = dataset.missing_video
        self.index_file = dataset.index_file

    def find(self, places: Mapping[str, Sequence[str]]) -> list[dict]:
        """The videos of some names, of each the first place that has it.

        ``places`` are paths from the folder at which a video may be, by its
        name. Videos come as dicts with ``video_id``, ``num_frames``, ``fps``
        and the ``SOURCE_KEYS`` that are known of them. Those that are missing
        are a FileNotFoundError, those that cannot be read or do not fit the
        index a ValueError, unless they are skipped.
        """
        raise NotImplementedError

    def check_samples(self, videos: Sequence[dict]) -> None:
        """Raises an error if planned samples cannot be of these videos."""

    def keep(self, videos: list[dict], faults: Sequence[str], problem: str,
             remedy: str, error: type = FileNotFoundError) -> list[dict]:
        """Videos without a fault, see :func:`drop`."""
        return drop(videos, faults, self.policy,
                    f'videos of {self.dataset.ann_file!r} {problem}',
                    f"{remedy}, or leave them out by missing_video='skip'",
                    error)

    def load_index(self) -> dict:
        """The entries of the index file."""
        return load_video_index(self.index_file, self.dataset.build_command())

    def check_known(self, paths: Sequence[str], index: dict) -> None:
        """Raises an error if the index lacks some of the videos."""
        lacking = [p for p in paths if p not in index]
        if lacking:
            known = f'it holds {len(index)}, for example ' \
                f'{first_names(index)}' if index else 'it is empty'
            raise ValueError(
                f'index_file {self.index_file!r} lacks {len(lacking)} of '
                f'{len(paths)} videos of {self.dataset.ann_file!r}: '
                f'{first_names(lacking)}; {known}. Remedy: '
                f'{self.dataset.build_command()}, which keeps what is there')

    @property
    def where(self) -> str:
        """Where videos are looked for, for messages."""
        options = ', '.join(
            f'{k}={v!r}' for k, v in self.dataset.data_prefix.items())
        return f'data_prefix=dict({options})'


class VideoFiles(Source, key='video'):
    """Files, at the very paths or whatever their suffix.

    The latter unless ``names_are_paths`` of the data set, and with its
    ``is_anywhere`` they may also be in any other folder. A name that fits
    several files is a ValueError.
    """

    def find(self, places: Mapping[str, Sequence[str]]) -> list[dict]:
        """The files, see :class:`Source`."""
        root = self.dataset.data_prefix['video']
        exact, looked = self.dataset.names_are_paths, \
            self.policy != 'unchecked'
        if exact:
            found: dict = {}
        elif looked:
            found = find_videos(places, root, self.dataset.is_anywhere)
        else:
            # The index tells the suffixes, where nobody is to look.
            found = match_videos(places, self.load_index())
        for name, paths in found.items():
            if len(paths) > 1:
                raise ValueError(
                    f'video {name!r} fits {len(paths)} files: '
                    f'{first_names(paths)}. Remedy: keep one of them, or let '
                    'data_prefix name the folder that has it')
        videos = []
        for name, paths in places.items():
            path = found.get(name, paths)[0]
            videos.append(
                dict(video_id=name, path=path, filename=osp.join(root, path)))
        if looked:
            there = in_threads(exists, [v['filename'] for v in videos]) \
                if exact else [name in found for name in places]
            hint = ' for files of these names with a suffix of videos ' \
                '(.mp4, .avi, ...)' * (not exact)
            videos = self.keep(
                videos, ['' if x else v['filename']
                         for v, x in zip(videos, there)],
                'do not exist', f'check {self.where}{hint}')
        return self._count(videos)

    def _count(self, videos: list[dict]) -> list[dict]:
        """Adds ``num_frames``, ``fps`` and, if scanned, ``frame_table``."""
        entries = (self._look_up(videos) if self.index_file else
                   self._probe(videos))
        for video, entry in zip(videos, entries):
            del video['path']
            video.update(
                num_frames=entry['num_frames'], fps=float(entry['fps']))
            if 'table' in entry:
                video['frame_table'] = {
                    k: entry[k] for k in _TABLE_KEYS if k in entry}
        kept = self.keep(
            videos, ['' if e['num_frames']
                     else f"{v['filename']} ({e.get('problem', 'no frames')})"
                     for v, e in zip(videos, entries)],
            'cannot be read', 'replace the files', ValueError)
        cut = [f"{v['video_id']} ({e['problem']})"
               for v, e in zip(videos, entries)
               if e['num_frames'] and 'problem' in e]
        if cut:
            warn(f'{len(cut)} videos are damaged or have odd times, and are '
                 f'used as far as they can be read: {first_names(cut)}')
        return kept

    def _look_up(self, videos: list[dict]) -> list[dict]:
        index = self.load_index()
        paths = [v['path'] for v in videos]
        self.check_known(paths, index)
        entries = [index[p] for p in paths]
        if any(is_outdated(e) for e in entries):
            warn(f'index_file {self.index_file!r} is of an older version and '
                 'does not tell when frames are shown, so that every video is '
                 'scanned when it is opened, and numbers of frames may differ.'
                 f' Remedy: {self.dataset.build_command()}')
        if self.policy != 'unchecked':
            sizes = in_threads(_size_of, [v['filename'] for v in videos])
            changed = [p for p, e, s in zip(paths, entries, sizes)
                       if s is not None and e.get('size', s) != s]
            if changed:
                raise ValueError(
                    f'index_file {self.index_file!r} does not match the '
                    f'videos: {len(changed)} of {len(videos)} have another '
                    f'size than when it was built: {first_names(changed)}. '
                    f'Remedy: {self.dataset.build_command()}')
        return entries

    def _probe(self, videos: list[dict]) -> list[dict]:
        names = [v['filename'] for v in videos]
        # An error even where broken videos are skipped: it would be all.
        check_on_disk(names, f'videos of {self.dataset.ann_file!r}')
        many = len(videos) > _FEW_VIDEOS
        if many:
            warn(f'Counting the frames of {len(videos)} videos, since '
                 'index_file is not set. To do so once and for all, '
                 f'{self.dataset.build_command()} and set index_file')
        return in_threads(_probe_once, names, min(8, os.cpu_count() or 1),
                          show=many and is_main_process())


def drop(items: list, faults: Sequence[str], policy: str, problem: str,
         remedy: str, error: type = ValueError) -> list:
    """What is left of items when those with a fault are dropped.

    ``faults`` has the name and value of each, '' if there is nothing wrong;
    the policy ``'skip'`` warns of them, any other raises an ``error`` of the
    ``problem`` and its ``remedy``.
    """
    names = [fault for fault in faults if fault]
    if not names:
        return items
    text = f'{len(names)} of {len(items)} {problem}: {first_names(names)}'
    if policy != 'skip':
        raise error(f'{text}. Remedy: {remedy}')
    warn(f'{text}; they are left out')
    return [item for item, fault in zip(items, faults) if not fault]


def _probe_once(filename: str) -> dict:
    try:
        stat = os.stat(filename)
    except OSError:
        return probe_video(filename)
    return _probe(osp.abspath(filename), stat.st_size, stat.st_mtime_ns)


@cache
def _probe(path: str, size: int, changed: int) -> dict:
    """The data sets of a run that share a video count it once."""
    return probe_video(path)


def _size_of(filename: str) -> Optional[int]:
    try:
        return osp.getsize(filename)
    except OSError:
        # Not a local file: what cannot be measured is not compared.
        return None


class NamedVideoDataset(StreamDataset):
    """Videos that are found by name, as files or as folders of frames.

    Args:
        ann_file (str): Path of the annotations.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): ``video``: folder of the videos, which
            are found whatever their suffix; ``img``: folder of the frame
            folders; or ``feature``: where features are in place of videos, a
            folder of files (of tools/extract_features.py, .npy, .npz, .h5) or
            of LMDB, or an HDF5 file; a list of several, such as of RGB and
            flow, puts their channels side by side. Defaults to None, which is
            ``dict(video='')``.
        index_file (str, optional): Frame counts of the videos, written by
            tools/data/build_video_index.py, perhaps also of frame folders.
            Defaults to None: the videos are read through at the start, every
            time.
        missing_video (str): What to do with videos that are not there or, by
            the index, cannot be read: ``'error'``, ``'skip'`` (leave them
            out) or ``'unchecked'`` (believe the ``index_file``; a missing one
            fails when it is read). Defaults to ``'error'``.
        fps (float, optional): Rate of frames in folders, and of features, one
            a frame, in files that do not tell; that of videos is known.
            Defaults to None: :attr:`frame_fps`.
        filename_tmpl (str, optional): Names of frames in folders;
            ``{video_id}`` is the video's name. Defaults to None:
            :attr:`frame_name`.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        **kwargs: Further arguments of :class:`StreamDataset`.
    """

    #: Rate of frames in folders; None if ``fps`` must be given.
    frame_fps: Optional[float] = 30.
    #: Names of frames in folders.
    frame_name: str = 'img_{:05}.jpg'
    #: Whether a video file may be in any folder under the given one.
    is_anywhere: bool = False
    #: Whether videos are named by the paths of their files.
    names_are_paths: bool = False
    #: Further keys that data_prefix may have.
    more_prefixes: tuple[str, ...] = ()

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 missing_video: str = 'error', fps: Optional[float] = None,
                 filename_tmpl: Optional[str] = None, start_index: int = 1,
                 **kwargs) -> None:
        check_choice('missing_video', missing_video,
                     ('error', 'skip', 'unchecked'))
        if missing_video == 'unchecked' and not index_file:
            raise ValueError("missing_video='unchecked' needs an index_file")
        prefix = {
            k: v or '' for k, v in (data_prefix or {'video': ''}).items()}
        kinds = [k for k in prefix if k not in self.more_prefixes]
        if len(kinds) != 1 or kinds[0] not in Source.kinds:
            raise ValueError(f'data_prefix={prefix} must be dict(video=...), '
                             'for video files, dict(img=...), for frame '
                             'folders, or dict(feature=...), for features')
        self.source_kind = Source.kinds[kinds[0]]
        self.use_frames = kinds[0] == 'img'
        self.index_file = index_file
        self.missing_video = missing_video
        self.fps = self.frame_fps if fps is None else fps
        if self.fps is not None or self.use_frames:
            check_number('fps', self.fps)
        self.filename_tmpl = filename_tmpl or self.frame_name
        super().__init__(
            ann_file, pipeline=pipeline, data_prefix=prefix,
            start_index=start_index if self.use_frames else 0, **kwargs)

    def _join_prefix(self) -> None:
        # MMEngine takes no lists.
        lists = {k: self.data_prefix.pop(k) for k, v in [
            *self.data_prefix.items()] if not isinstance(v, str)}
        super()._join_prefix()
        for key, paths in lists.items():
            self.data_prefix[key] = list(map(self._join_root, paths))
        self.index_file = self._join_root(self.index_file)

    def build_command(self) -> str:
        """How to write the index, for error messages."""
        return (f'run "{BUILD_INDEX} --data-root '
                f"{self.data_prefix.get('video') or '.'} --out "
                f'{self.index_file or "INDEX.json"}"')

    def if_cut_off(self) -> str:
        """What to do about a video that ends early, '' for nothing."""
        return self.build_command() * (self.source_kind is VideoFiles)

    def load_data_list(self) -> list[dict]:
        """Loads the videos and plans the samples; gives the videos."""
        videos = super().load_data_list()
        self.source_kind(self).check_samples(videos)
        return videos

    def find_videos(self, names: Iterable[str]) -> list[dict]:
        """Finds videos by name, see :meth:`StreamDataset.load_videos`."""
        return self.source_kind(self).find(
            {name: self.places(name) for name in names})

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        return [name]
