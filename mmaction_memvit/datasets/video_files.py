# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which videos of an annotation file are there, and how long they are."""
import logging
import os
import os.path as osp
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import (
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from dataclasses import dataclass
from typing import Any, Callable, Optional

from mmengine.dist import is_main_process
from mmengine.fileio import exists, isdir, list_dir_or_file
from mmengine.logging import print_log
from mmengine.utils import ProgressBar

from .video_index import (
    check_on_disk,
    first_names,
    load_video_index,
    probe_video,
)

#: Suffixes of video files, in small letters.
VIDEO_SUFFIXES = frozenset(
    '.3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm '
    '.wmv'.split())
# Without an index so many videos are counted without a hint to build one.
_FEW_VIDEOS = 20
_NUM_IO_THREADS = 16
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

    def find(self, video_ids: Iterable[str], prefix: str) -> list[dict]:
        """Finds the files of videos that annotations name without suffix.

        Args:
            video_ids (Iterable[str]): Names of videos.
            prefix (str): The folder that the names start from.

        Returns:
            list[dict]: ``video_id``, ``filename``, ``num_frames`` and ``fps``
            of those that are there and can be read.

        Raises:
            FileNotFoundError: If one is missing and must not.
            ValueError: If a name fits several files, the index does not fit
                or a video cannot be read.
        """
        ids = list(video_ids)
        # The index tells the suffixes, where nobody is to look.
        looked = self.missing_video != 'unchecked' or not self.index_file
        found = match_videos(
            ids,
            list_video_files(prefix, ids) if looked else load_video_index(
                self.index_file, self.build_command))
        paths = {v: found.get(v, v) for v in ids}
        videos = [
            dict(video_id=v, path=p, filename=osp.join(prefix, p))
            for v, p in paths.items()
        ]
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
        """Adds ``num_frames`` and ``fps`` to the videos.

        Args:
            videos (list[dict]): The videos; they get the two keys.

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
            print_log(
                f'{len(cut)} videos are damaged and used as far as they can '
                'be read: ' + first_names(f'{v} ({e["problem"]})'
                                          for v, e in cut),
                logger='current',
                level=logging.WARNING)
        drift = [(v['video_id'], e) for v, e in zip(videos, entries)
                 if 'time_drift' in e]
        if drift and self.need_times:
            worst = max(e['time_drift'] for _, e in drift)
            print_log(
                f'{len(drift)} videos have a variable frame rate: '
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


def list_video_files(prefix: str, video_ids: Iterable[str]) -> list[str]:
    """The files of the folders in which the videos must lie.

    Args:
        prefix (str): The folder that names start from.
        video_ids (Iterable[str]): Names of videos, with folders if they have
            any.

    Returns:
        list[str]: Paths from ``prefix``, with suffix, sorted; nothing of
        folders that do not exist.
    """
    found = []
    for folder in sorted({osp.dirname(v) for v in video_ids}):
        path = osp.join(prefix, folder) if folder else prefix or '.'
        if isdir(path):
            found += [
                osp.join(folder, name)
                for name in list_dir_or_file(path, list_dir=False)
            ]
    return sorted(found)


def match_videos(video_ids: Iterable[str],
                 files: Iterable[str]) -> dict[str, str]:
    """Finds the files of videos that annotations name without suffix.

    Args:
        video_ids (Iterable[str]): Names of videos, with suffix or without.
        files (Iterable[str]): Paths of files.

    Returns:
        dict[str, str]: Path by name, of the videos that have one.

    Raises:
        ValueError: If a name fits several video files.
    """
    files = list(files)
    exact = set(files)
    by_stem = defaultdict(list)
    for path in files:
        stem, suffix = osp.splitext(path)
        if suffix.lower() in VIDEO_SUFFIXES:
            by_stem[stem].append(path)
    found = {}
    for name in video_ids:
        if name in exact:
            found[name] = name
            continue
        fitting = by_stem.get(name, [])
        if len(fitting) > 1:
            raise ValueError(f'video {name!r} fits {len(fitting)} files: '
                             f'{first_names(fitting)}. Remedy: keep one of '
                             'them in the folder')
        if fitting:
            found[name] = fitting[0]
    return found


def count_frame_images(folder: str,
                       filename_tmpl: str = 'img_{:05}.jpg',
                       start_index: int = 1,
                       guess: int = 0,
                       is_there: Callable[[str], bool] = exists) -> int:
    """Counts the images of a frame folder with few looks into it.

    The folder is not listed: some 30 questions find the end of numbers
    without gaps, three if the guess is right.

    Args:
        folder (str): The folder.
        filename_tmpl (str): Name of an image, by its number. Defaults to
            ``'img_{:05}.jpg'``.
        start_index (int): Number of the first image. Defaults to 1.
        guess (int): Expected number of images; 0 for none. Defaults to 0.
        is_there (Callable): Whether a file exists. Defaults to MMEngine's
            ``exists``.

    Returns:
        int: Number of images, 0 if the first one does not exist.
    """

    def has(num: int) -> bool:
        """Whether there are at least num images."""
        name = filename_tmpl.format(start_index + num - 1)
        return is_there(osp.join(folder, name))

    if not has(1):
        return 0
    low, high = 1, 2
    if guess > 1:
        if has(guess):
            low, high = guess, guess + 1
        else:
            high = guess
    step = 1
    while high > low and (guess <= 1 or high > guess) and has(high):
        low, high, step = high, high + 2 * step, 2 * step
    # There are at least low and fewer than high images.
    while high - low > 1:
        middle = (low + high) // 2
        if has(middle):
            low = middle
        else:
            high = middle
    return low


def probe_videos(paths: Mapping[str, str],
                 num_workers: int = 1,
                 decode: bool = False,
                 probe: Optional[Callable[[str, bool], dict]] = None
                 ) -> Iterator[tuple[str, dict]]:
    """Counts the frames of many videos in processes.

    Args:
        paths (Mapping[str, str]): Path of each video by its name.
        num_workers (int): Number of processes. Defaults to 1: this one.
        decode (bool): See :func:`probe_video`. Defaults to False.
        probe (Callable, optional): What counts the frames of one, from its
            path and ``decode``. Defaults to None: :func:`probe_video`.

    Yields:
        tuple[str, dict]: Name and entry of each video, as they are done.

    Raises:
        BrokenProcessPool: If a process crashes.
    """
    probe = probe or probe_video
    if num_workers == 1 or len(paths) < 2:
        for name, path in paths.items():
            yield name, probe(path, decode)
        return
    # Unlike multiprocessing.Pool, this one notices when a worker crashes.
    with ProcessPoolExecutor(num_workers) as pool:
        futures = {
            pool.submit(probe, path, decode): name
            for name, path in paths.items()
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def in_threads(func: Callable[[Any], Any],
               items: list,
               num_threads: int = _NUM_IO_THREADS,
               show: bool = False) -> list:
    """Asks about files in threads: network file systems answer slowly.

    Args:
        func (Callable): The question.
        items (list): What it is asked of.
        num_threads (int): Number of threads. Defaults to 16.
        show (bool): Whether to show progress. Defaults to False.

    Returns:
        list: The answers, in order.
    """
    bar = ProgressBar(len(items)) if show else None
    answers = []
    with ThreadPoolExecutor(num_threads) as pool:
        for answer in pool.map(func, items, chunksize=1):
            answers.append(answer)
            if bar is not None:
                bar.update()
    if bar is not None:
        bar.file.write('\n')
    return answers


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
