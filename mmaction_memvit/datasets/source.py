# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where the pictures of an annotation file's videos are, and how many."""
import os
import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Callable, Optional, Union

from mmengine.dist import is_main_process
from mmengine.fileio import exists

from ..messages import data_error, first_names, tool, warn
from ..video import probe_video
from ..video.feature_files import FeatureStack, find_feature_file
from ..video.find import (
    check_on_disk,
    count_frame_images,
    find_videos,
    in_threads,
    is_outdated,
    load_video_index,
    match_videos,
)
from .stream import StreamDataset

EXTRACT_FEATURES = tool('extract_features.py')
# Without an index so many videos are counted without a hint to build one.
_FEW_VIDEOS = 20
# What a FrameTable needs of an entry, and what tells that it is uneven.
_TABLE_KEYS = ('num_frames', 'fps', 'width', 'height', 'table', 'time_drift',
               'start')


@dataclass(frozen=True)
class Source:
    """Finds the files or frame folders of videos and counts their frames.

    Videos come as dicts with ``video_id``, ``num_frames``, ``fps`` and the
    ``SOURCE_KEYS`` that are known of them. Files that are missing are a
    FileNotFoundError, those that cannot be read or do not fit the index a
    ValueError, unless they are skipped. Arguments are those of
    :class:`StreamDataset`, and the command that writes the index.
    """
    ann_file: str
    prefix: Mapping[str, str]
    missing_video: str = 'error'
    index_file: Optional[str] = None
    build_command: str = ''

    @classmethod
    def of(cls, dataset: StreamDataset) -> 'Source':
        """That of a data set."""
        return cls(dataset.ann_file, dataset.data_prefix,
                   dataset.missing_video, dataset.index_file,
                   dataset.build_command())

    def listed(self, paths: Sequence[str]) -> list[dict]:
        """The video files that a list gives the paths of, also their names."""
        videos = [
            dict(video_id=p, path=p,
                 filename=osp.join(self.prefix['video'], p)) for p in paths]
        if self.missing_video != 'unchecked':
            there = in_threads(exists, [v['filename'] for v in videos])
            videos = self._keep(videos, there)
        return self._count(videos)

    def named(self, places: Mapping[str, Sequence[str]],
              anywhere: bool = False) -> list[dict]:
        """The files of videos that annotations name, whatever their suffix.

        ``places`` are paths from the folder at which a video may be, by its
        name; with ``anywhere`` it may also be in any other folder under it. A
        name that fits several files is a ValueError.
        """
        root = self.prefix['video']
        looked = self.missing_video != 'unchecked'
        # The index tells the suffixes, where nobody is to look.
        found = find_videos(places, root, anywhere) if looked else \
            match_videos(places, self._load_index())
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
            videos = self._keep(
                videos, [v['video_id'] in found for v in videos],
                ' for files of these names with a suffix of videos (.mp4, '
                '.avi, ...)')
        return self._count(videos)

    def folders(self, places: Mapping[str, Sequence[str]], fps: float,
                filename_tmpl: str, start_index: int = 1) -> list[dict]:
        """The frame folders of videos that annotations name.

        ``places`` are as in :meth:`named`, ``fps`` is the rate where the index
        has none, and ``filename_tmpl`` names frames by their numbers, from
        ``start_index``; ``{video_id}`` in it is the video's name.
        """
        index = self._load_index() if self.index_file else {}
        if self.index_file and self.missing_video != 'skip':
            self._check_known(list(places), index, 'frame folders')

        def count(path: str, template: str, num: int) -> int:
            if self.missing_video == 'unchecked':
                return num
            if not self.index_file:
                return count_frame_images(path, template, start_index)
            last = osp.join(path, template.format(start_index + num - 1))
            return num if num and exists(last) else 0

        def look(name: str) -> dict:
            entry = index.get(name, {})
            template = filename_tmpl.replace('{video_id}', name)
            paths = [osp.join(self.prefix['img'], p) for p in places[name]]
            counts = ((path, count(path, template, entry.get('num_frames', 0)))
                      for path in paths)
            path, num = next((x for x in counts if x[1]), (paths[0], 0))
            return dict(video_id=name, frame_dir=path, num_frames=num,
                        filename_tmpl=template,
                        fps=float(entry.get('fps') or fps))

        videos = in_threads(look, list(places))
        first = filename_tmpl.replace('{video_id}', 'ID').format(start_index)
        fewer = ' or fewer frames than index_file says' * bool(self.index_file)
        return drop(
            videos, ['' if v['num_frames'] else v['frame_dir']
                     for v in videos], self.missing_video,
            f'frame folders of {self.ann_file!r} are not there or have no '
            f'frame {first!r}{fewer}',
            f'check {self._where}, filename_tmpl and start_index, unpack .tar '
            "files, or leave the videos out by missing_video='skip'",
            FileNotFoundError)

    def features(self, places: Mapping[str, Sequence[str]],
                 fps: Optional[float] = None,
                 by_row: bool = False) -> list[dict]:
        """The files of features of videos that annotations name.

        ``places`` are as in :meth:`named`, the others as in
        :meth:`FeatureStack.describe`.
        """
        lost: dict[str, str] = {}
        widths: dict[str, int] = {}

        def look(name: str) -> dict:
            try:
                files = tuple(find_feature_file(root, places[name])
                              for root in self.prefix['feature'])
                features = FeatureStack(files)
            except FileNotFoundError as e:
                lost[name] = str(e)
                return {}
            told = features.describe(fps, by_row)
            widths[name] = features.channels
            features.close()
            return dict(video_id=name, feature_files=files, **told)

        videos = in_threads(look, list(places))
        owners: dict[tuple, str] = {}
        for name, video in zip(places, videos):
            other = owners.setdefault(video.get('feature_files', name), name)
            if other != name:
                raise data_error(
                    self._where, f'{other!r} and {name!r} would have the same '
                    f'features, {video["feature_files"][0][0]}',
                    'rename one of the videos, and extract both anew')
        # Threads end in any order; the list's first video counts.
        first = next((x for x in places if x in widths), None)
        for name in places:
            if widths.get(name, widths.get(first)) != widths.get(first):
                raise data_error(
                    self._where, f'features of {name!r} have {widths[name]} '
                    f'channels, those of {first!r} {widths[first]}',
                    'extract all by the same model, or leave those of '
                    'another out of the list')
        return drop(
            videos, [lost.get(name, '') for name in places],
            self.missing_video, f'videos of {self.ann_file!r} have no '
            'features', f'check {self._where}, extract them by '
            f'"{EXTRACT_FEATURES}", or leave the videos out by '
            "missing_video='skip'", FileNotFoundError)

    def _load_index(self) -> dict:
        return load_video_index(self.index_file, self.build_command)

    @property
    def _where(self) -> str:
        options = ', '.join(f'{k}={v!r}' for k, v in self.prefix.items())
        return f'data_prefix=dict({options})'

    def _keep(self, videos: list[dict], there: Iterable[bool],
              looked_for: str = '') -> list[dict]:
        return drop(
            videos,
            ['' if x else v['filename'] for v, x in zip(videos, there)],
            self.missing_video, f'videos of {self.ann_file!r} do not exist',
            f'check {self._where}{looked_for}, or leave them out by '
            "missing_video='skip'", FileNotFoundError)

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
        kept = drop(
            videos, ['' if e['num_frames']
                     else f"{v['filename']} ({e.get('problem', 'no frames')})"
                     for v, e in zip(videos, entries)], self.missing_video,
            f'videos of {self.ann_file!r} cannot be read', 'replace the '
            "files, or leave them out by missing_video='skip'")
        cut = [f"{v['video_id']} ({e['problem']})"
               for v, e in zip(videos, entries)
               if e['num_frames'] and 'problem' in e]
        if cut:
            warn(f'{len(cut)} videos are damaged or have odd times, and are '
                 f'used as far as they can be read: {first_names(cut)}')
        return kept

    def _check_known(self, paths: list[str], index: dict, what: str) -> None:
        lacking = [p for p in paths if p not in index]
        if lacking:
            known = f'it holds {len(index)}, for example ' \
                f'{first_names(index)}' if index else 'it is empty'
            raise ValueError(
                f'index_file {self.index_file!r} lacks {len(lacking)} of '
                f'{len(paths)} {what} of {self.ann_file!r}: '
                f'{first_names(lacking)}; {known}. Remedy: '
                f'{self.build_command}, which keeps what is there')

    def _look_up(self, videos: list[dict]) -> list[dict]:
        index = self._load_index()
        paths = [v['path'] for v in videos]
        self._check_known(paths, index, 'videos')
        entries = [index[p] for p in paths]
        if any(is_outdated(e) for e in entries):
            warn(f'index_file {self.index_file!r} is of an older version and '
                 'does not tell when frames are shown, so that every video is '
                 'scanned when it is opened, and numbers of frames may differ.'
                 f' Remedy: {self.build_command}')
        if self.missing_video != 'unchecked':
            sizes = in_threads(_size_of, [v['filename'] for v in videos])
            changed = [p for p, e, s in zip(paths, entries, sizes)
                       if s is not None and e.get('size', s) != s]
            if changed:
                raise ValueError(
                    f'index_file {self.index_file!r} does not match the '
                    f'videos: {len(changed)} of {len(videos)} have another '
                    f'size than when it was built: {first_names(changed)}. '
                    f'Remedy: {self.build_command}')
        return entries

    def _probe(self, videos: list[dict]) -> list[dict]:
        names = [v['filename'] for v in videos]
        # An error even where broken videos are skipped: it would be all.
        check_on_disk(names, f'videos of {self.ann_file!r}')
        many = len(videos) > _FEW_VIDEOS
        if many:
            warn(f'Counting the frames of {len(videos)} videos, since '
                 'index_file is not set. To do so once and for all, '
                 f'{self.build_command} and set index_file')
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
            folders; or ``feature``: features, see :class:`StreamDataset`.
            Defaults to None, which is ``dict(video='')``.
        fps (float, optional): Rate of frames in folders, and of features, one
            a frame, in files that do not tell; that of videos is known.
            Defaults to None: :attr:`frame_fps`.
        filename_tmpl (str, optional): Names of frames in folders;
            ``{video_id}`` is the video's name. Defaults to None:
            :attr:`frame_name`.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        **kwargs: Further arguments of :class:`StreamDataset`. Its
            ``index_file`` may also hold the frame counts of folders.
    """

    #: Rate of frames in folders.
    frame_fps: float = 30.
    #: Names of frames in folders.
    frame_name: str = 'img_{:05}.jpg'
    #: Whether a video file may be in any folder under the given one.
    is_anywhere: bool = False

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 fps: Optional[float] = None,
                 filename_tmpl: Optional[str] = None, start_index: int = 1,
                 **kwargs) -> None:
        self.fps = self.frame_fps if fps is None else fps
        if not self.fps > 0:
            raise ValueError(f'fps={fps} must be above 0')
        self.filename_tmpl = filename_tmpl or self.frame_name
        super().__init__(
            ann_file, pipeline=pipeline, data_prefix=data_prefix,
            start_index=start_index if 'img' in (data_prefix or {}) else 0,
            **kwargs)

    def find_videos(self, names: Iterable[str]) -> list[dict]:
        """Finds videos by name, see :meth:`StreamDataset.load_videos`."""
        places = {name: self.places(name) for name in names}
        if self.use_features:
            return Source.of(self).features(places, self.fps)
        if self.use_frames:
            return Source.of(self).folders(
                places, self.fps, self.filename_tmpl, self.start_index)
        return Source.of(self).named(places, self.is_anywhere)

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        return [name]
