# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which videos of an annotation file are there, and how long they are."""
import logging
import os
import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.fileio import exists
from mmengine.logging import print_log

from ..video import probe_video
from ..video.find import find_videos, match_videos
from ..video.index import (
    check_on_disk,
    first_names,
    in_threads,
    is_outdated,
    load_video_index,
)

# Without an index so many videos are counted without a hint to build one.
_FEW_VIDEOS = 20
# What a FrameTable needs of an entry.
_TABLE_KEYS = ('num_frames', 'fps', 'width', 'height', 'table')
# Entries of this process, so that the datasets of a run that share videos
# count them once: (path, size, time of change) -> entry.
_probed: dict[tuple, dict] = {}


@dataclass(frozen=True)
class VideoFiles:
    """Looks for the videos of an annotation file and counts their frames.

    A video is a dict with ``video_id``, ``filename`` and, where the index
    calls it by another name than ``video_id``, ``path``.

    Args:
        ann_file (str): The annotation file, for messages.
        missing_video (str): What to do with videos that are not there or
            cannot be read: ``'error'``, ``'skip'`` or ``'unchecked'`` (do not
            look for them).
        prefix (str): How ``data_prefix`` is set, for messages.
        index_file (str, optional): File of frame counts. Defaults to None:
            the videos are read through.
        build_command (str): The command that writes it, for messages.
        need_times (bool): Whether annotations are in seconds, so that a
            variable frame rate is worth a warning. Defaults to False.
    """
    ann_file: str
    missing_video: str
    prefix: str
    index_file: Optional[str] = None
    build_command: str = ''
    need_times: bool = False

    def keep_existing(self, videos: list[dict]) -> list[dict]:
        """The videos that exist, all of them unless some may be left out.

        Args:
            videos (list[dict]): The videos.

        Returns:
            list[dict]: Those that are there.

        Raises:
            FileNotFoundError: If one is missing and must not.
        """
        if self.missing_video == 'unchecked':
            return videos
        there = in_threads(exists, [v['filename'] for v in videos])
        return self.keep(videos, there)

    def keep(self,
             videos: list[dict],
             there: Iterable[bool],
             looked_for: str = '') -> list[dict]:
        """As :meth:`keep_existing`, knowing already which ones exist."""
        pairs = list(zip(videos, there))
        missing = [v['filename'] for v, x in pairs if not x]
        return leave_out(
            missing, [v for v, x in pairs if x], self.missing_video,
            FileNotFoundError,
            f'{len(missing)} of {len(videos)} videos of {self.ann_file!r} do '
            f'not exist: {first_names(missing)}',
            f'check {self.prefix}{looked_for}, or leave them out by '
            "missing_video='skip'")

    def find(self,
             wanted: Mapping[str, Sequence[str]],
             prefix: str,
             anywhere: bool = False) -> list[dict]:
        """Finds the files of videos that annotations name.

        Args:
            wanted (Mapping[str, Sequence[str]]): Paths from ``prefix`` at
                which a video may be, with suffix or without, by its name.
            prefix (str): The folder.
            anywhere (bool): Whether a video may also be in any other folder
                under ``prefix``. Defaults to False.

        Returns:
            list[dict]: ``video_id``, ``filename``, ``num_frames``, ``fps``
            and, where the file was scanned, ``frame_table`` of those that are
            there and can be read.

        Raises:
            FileNotFoundError: If one is missing and must not.
            ValueError: If a name fits several files, the index does not fit
                or a video cannot be read.
        """
        # The index tells the suffixes, where nobody is to look.
        looked = self.missing_video != 'unchecked' or not self.index_file
        if looked:
            found = find_videos(wanted, prefix, anywhere)
        else:
            found = match_videos(
                wanted, load_video_index(self.index_file, self.build_command))
        for name, paths in found.items():
            if len(paths) > 1:
                raise ValueError(
                    f'video {name!r} fits {len(paths)} files: '
                    f'{first_names(paths)}. Remedy: keep one of them, or let '
                    'data_prefix name the folder that has it')
        videos = []
        for name, paths in wanted.items():
            path = found.get(name, paths)[0]
            videos.append(
                dict(video_id=name, path=path, filename=osp.join(prefix,
                                                                 path)))
        if looked:
            videos = self.keep(
                videos, [v['video_id'] in found for v in videos],
                ' for files of these names with a suffix of videos (.mp4, '
                '.avi, ...)')
        videos = self.add_frame_counts(videos)
        for video in videos:
            del video['path']
        return videos

    def add_frame_counts(self, videos: list[dict]) -> list[dict]:
        """Adds ``num_frames``, ``fps`` and ``frame_table`` to the videos.

        Args:
            videos (list[dict]): The videos; they get the keys, the last one
                where the file was scanned.

        Returns:
            list[dict]: Those that can be read.

        Raises:
            FileNotFoundError: If there is no such index.
            ValueError: If the index does not fit or a video cannot be read.
        """
        if self.index_file:
            index = load_video_index(self.index_file, self.build_command)
            entries = self._match_index(videos, index)
        else:
            entries = self._probe(videos)
        for video, entry in zip(videos, entries):
            video['num_frames'] = entry['num_frames']
            video['fps'] = float(entry['fps'])
            if 'table' in entry:
                video['frame_table'] = {k: entry[k] for k in _TABLE_KEYS}
        broken = [
            f"{v['filename']} ({e.get('problem', 'no frames')})"
            for v, e in zip(videos, entries) if not e['num_frames']
        ]
        policy = 'skip' if self.missing_video == 'skip' else 'error'
        kept = leave_out(
            broken, [v for v in videos if v['num_frames']], policy, ValueError,
            f'{len(broken)} of {len(videos)} videos of {self.ann_file!r} '
            f'cannot be read: {first_names(broken)}', 'replace the files, or '
            "leave them out by missing_video='skip'")
        self._tell_problems(videos, entries)
        return kept

    def _tell_problems(self, videos: list[dict], entries: list[dict]) -> None:
        cut = [(v['video_id'], e) for v, e in zip(videos, entries)
               if e['num_frames'] and 'problem' in e]
        if cut:
            names = first_names(f'{v} ({e["problem"]})' for v, e in cut)
            print_log(
                f'{len(cut)} videos are damaged or have odd times, and are '
                f'used as far as they can be read: {names}',
                logger='current',
                level=logging.WARNING)
        drift = [(v['video_id'], e) for v, e in zip(videos, entries)
                 if 'time_drift' in e]
        if drift and self.need_times:
            worst = max(e['time_drift'] for _, e in drift)
            late = sum('start' in e for _, e in drift)
            print_log(
                f'{len(drift)} videos have a variable frame rate, or pictures '
                f'that begin after time 0 ({late} of them): '
                f'{first_names(v for v, _ in drift)}. The times of their '
                f'annotations are off by up to {worst:g} s. Remedy: encode '
                'them at a constant rate ("ffmpeg -i IN -r 30 OUT") and build '
                'the index anew',
                logger='current',
                level=logging.WARNING)

    def _match_index(self, videos: list[dict], index: dict) -> list[dict]:
        paths = [v.get('path', v['video_id']) for v in videos]
        lacking = [p for p in paths if p not in index]
        if lacking:
            known = f'it holds {len(index)}, for example ' \
                f'{first_names(index)}' if index else 'it is empty'
            raise ValueError(
                f'index_file {self.index_file!r} lacks {len(lacking)} of '
                f'{len(videos)} videos of {self.ann_file!r}: '
                f'{first_names(lacking)}; {known}. Remedy: '
                f'{self.build_command}, which keeps what is there')
        entries = [index[p] for p in paths]
        if any(is_outdated(e) for e in entries):
            print_log(
                f'index_file {self.index_file!r} is of an older version and '
                'does not tell when frames are shown, so that every video is '
                'scanned when it is opened, and numbers of frames may differ. '
                f'Remedy: {self.build_command}',
                logger='current',
                level=logging.WARNING)
        if self.missing_video != 'unchecked':
            sizes = in_threads(_size_of, [v['filename'] for v in videos])
            changed = [
                p for p, e, s in zip(paths, entries, sizes)
                if s is not None and e.get('size', s) != s
            ]
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
        if len(videos) > _FEW_VIDEOS:
            print_log(
                f'Counting the frames of {len(videos)} videos, since '
                'index_file is not set. To do so once and for all, '
                f'{self.build_command} and set index_file',
                logger='current',
                level=logging.WARNING)
        return in_threads(
            _probe_once,
            names,
            num_threads=min(8,
                            os.cpu_count() or 1),
            show=len(videos) > _FEW_VIDEOS and is_main_process())


def leave_out(names: list[str], kept: list, policy: str, error: type,
              what: str, remedy: str) -> list:
    """Raises an error or tells what is left out.

    Args:
        names (list[str]): What is wrong; nothing happens if it is empty.
        kept (list): What is in order.
        policy (str): ``'error'`` raises, anything else warns.
        error (type): The exception.
        what (str): What is wrong, in words.
        remedy (str): What the user can do about it.

    Returns:
        list: ``kept``.
    """
    if names and policy == 'error':
        raise error(f'{what}. Remedy: {remedy}')
    if names:
        print_log(
            f'{what}; they are left out',
            logger='current',
            level=logging.WARNING)
    return kept


def video_source(video: dict) -> dict:
    """The keys that tell loading transforms where frames are."""
    return {k: video[k] for k in ('filename', 'frame_table') if k in video}


def _probe_once(filename: str) -> dict:
    try:
        stat = os.stat(filename)
    except OSError:
        return probe_video(filename)
    key = (osp.abspath(filename), stat.st_size, stat.st_mtime_ns)
    if key not in _probed:
        _probed[key] = probe_video(filename)
    return _probed[key]


def _size_of(filename: str) -> Optional[int]:
    try:
        return osp.getsize(filename)
    except OSError:
        # Not a local file: what cannot be measured is not compared.
        return None
