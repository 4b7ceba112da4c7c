# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where the pictures of an annotation file's videos are, and how many."""
import os
import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.fileio import exists

from ..messages import first_names, warn
from ..video import probe_video
from ..video.find import count_frame_images, find_videos, match_videos
from ..video.index import (
    check_on_disk,
    in_threads,
    is_outdated,
    load_video_index,
)

#: Keys of a video that tell loading transforms where its pictures are.
SOURCE_KEYS = ('filename', 'frame_table', 'frame_dir', 'filename_tmpl')
# Without an index so many videos are counted without a hint to build one.
_FEW_VIDEOS = 20
# What a FrameTable needs of an entry, and what tells that it is uneven.
_TABLE_KEYS = ('num_frames', 'fps', 'width', 'height', 'table', 'time_drift',
               'start')


@dataclass(frozen=True)
class Source:
    """Finds the files or frame folders of videos and counts their frames.

    Videos come as dicts with ``video_id``, ``num_frames``, ``fps`` and the
    :data:`SOURCE_KEYS` that are known of them. Files that are missing are a
    FileNotFoundError, those that cannot be read or do not fit the index a
    ValueError, unless they are skipped.

    Args:
        ann_file (str): The annotation file, for messages.
        prefix (dict): ``dict(video=FOLDER)`` or ``dict(img=FOLDER)``.
        missing_video (str): What to do with videos that are not there or
            cannot be read: ``'error'``, ``'skip'`` (leave them out, with a
            warning) or ``'unchecked'`` (do not look for them). Defaults to
            ``'error'``.
        index_file (str, optional): File of frame counts. Defaults to None:
            videos are read through, and frames of folders looked for.
        build_command (str): The command that writes it, for messages.
    """
    ann_file: str
    prefix: Mapping[str, str]
    missing_video: str = 'error'
    index_file: Optional[str] = None
    build_command: str = ''

    def listed(self, paths: Sequence[str]) -> list[dict]:
        """The video files that a list gives the paths of, also their names."""
        videos = [
            dict(video_id=p, path=p,
                 filename=osp.join(self.prefix['video'], p)) for p in paths
        ]
        if self.missing_video != 'unchecked':
            there = in_threads(exists, [v['filename'] for v in videos])
            videos = self._keep(videos, there)
        return self._count(videos)

    def named(self,
              places: Mapping[str, Sequence[str]],
              anywhere: bool = False) -> list[dict]:
        """The files of videos that annotations name, whatever their suffix.

        ``places`` are paths from the folder at which a video may be, by its
        name; with ``anywhere`` it may also be in any other folder under it. A
        name that fits several files is a ValueError.
        """
        root = self.prefix['video']
        # The index tells the suffixes, where nobody is to look.
        looked = self.missing_video != 'unchecked' or not self.index_file
        if looked:
            found = find_videos(places, root, anywhere)
        else:
            found = match_videos(
                places, load_video_index(self.index_file, self.build_command))
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

    def folders(self,
                places: Mapping[str, Sequence[str]],
                fps: float,
                filename_tmpl: str,
                start_index: int = 1,
                guesses: Optional[Mapping[str, int]] = None) -> list[dict]:
        """The frame folders of videos that annotations name.

        Args:
            places (Mapping[str, Sequence[str]]): Paths from the folder at
                which a video's may be, by its name.
            fps (float): Rate of the frames, where the index has none.
            filename_tmpl (str): Names of frames, by their numbers;
                ``{video_id}`` is the video's name.
            start_index (int): Number of the first frame. Defaults to 1.
            guesses (Mapping[str, int], optional): Expected frames, which are
                believed where nobody is to look. Defaults to None.
        """
        known = guesses or {}
        if self.index_file:
            index = load_video_index(self.index_file, self.build_command)
            if self.missing_video != 'skip':
                self._check_known(list(places), index, 'frame folders')
            known = {k: v['num_frames'] for k, v in index.items()}
        template = {
            name: filename_tmpl.replace('{video_id}', name) for name in places}

        def look(name: str) -> dict:
            paths = [osp.join(self.prefix['img'], p) for p in places[name]]
            num = known.get(name, 0)
            video = dict(video_id=name, frame_dir=paths[0], num_frames=num,
                         filename_tmpl=template[name], fps=float(fps))
            if self.index_file:
                video['fps'] = float(index.get(name, {}).get('fps') or fps)
            if self.missing_video == 'unchecked':
                return video
            for path in paths:
                if self.index_file:
                    last = template[name].format(start_index + num - 1)
                    count = num if num and exists(osp.join(path, last)) else 0
                else:
                    count = count_frame_images(path, template[name],
                                               start_index, num)
                if count:
                    return dict(video, frame_dir=path, num_frames=count)
            return dict(video, num_frames=0)

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
            videos, [
                '' if e['num_frames'] else
                f"{v['filename']} ({e.get('problem', 'no frames')})"
                for v, e in zip(videos, entries)
            ], self.missing_video,
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
        index = load_video_index(self.index_file, self.build_command)
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


def drop(items: list,
         faults: Sequence[str],
         policy: str,
         problem: str,
         remedy: str,
         error: type = ValueError) -> list:
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
