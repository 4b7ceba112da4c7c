# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Finds videos and frame folders, and reads index files: their frame tables.

An index is a JSON file that maps every video's path, as written in the
annotation list, to its entry, see :mod:`mmaction_memvit.video.frames`.
"""
import os
import os.path as osp
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import mmengine
from mmengine.fileio import exists, isdir, list_dir_or_file
from mmengine.utils import track_iter_progress

from ..messages import data_error, first_names, tool

_NUM_IO_THREADS = 16

#: Suffixes of video files, in small letters.
VIDEO_SUFFIXES = frozenset(
    '.3g2 .3gp .asf .avi .divx .f4v .flv .h264 .m2ts .m2v .m4v .mjpeg .mkv '
    '.mov .mp4 .mpeg .mpg .mts .mxf .ogg .ogv .qt .rm .rmvb .ts .vob .webm '
    '.wmv'.split())


def is_video(path: str) -> bool:
    """Whether a file's name ends like that of a video."""
    return osp.splitext(path)[1].lower() in VIDEO_SUFFIXES


def walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As :func:`os.walk`, along links but never into a folder itself.

    It yields folder, relative to ``root`` ('' for ``root``), its folders,
    which may be changed, and its files, sorted.
    """
    inside = {'': (osp.realpath(root), )}
    for path, folders, files in os.walk(root, followlinks=True):
        folder = osp.relpath(path, root)
        folder = '' if folder == '.' else folder
        above = inside.pop(folder)
        real = {name: osp.realpath(osp.join(path, name)) for name in folders}
        folders[:] = sorted(n for n in folders if real[n] not in above)
        yield folder, folders, sorted(files)
        for name in folders:
            inside[osp.join(folder, name)] = (*above, real[name])


def list_videos(root: str) -> list[str]:
    """All video files under a folder: sorted paths, with forward slashes."""
    return sorted(osp.join(folder, name).replace(os.sep, '/')
                  for folder, _, files in walk(root) for name in files
                  if is_video(name))


def name_videos(sources: Iterable[str]) -> dict[str, str]:
    """Paths of videos by names, under which results of theirs are found.

    Sources are folders, with all videos in them, files, and lists (.txt) of
    one path a line, from the folder of the list; labels behind it are left
    out.
    """
    videos: dict[str, str] = {}

    def add(name: str, path: str) -> None:
        if osp.abspath(videos.setdefault(name, path)) != osp.abspath(path):
            raise ValueError(f'{videos[name]} and {path} have the same name: '
                             'hand in the folder above both')

    for source in sources:
        if osp.isdir(source):
            for name in list_videos(source):
                add(name, osp.join(source, name))
        elif not osp.isfile(source):
            raise FileNotFoundError(f'{source}: no such folder or file')
        elif source.endswith('.txt'):
            with open(source, encoding='utf-8-sig') as file:
                lines = file.read().splitlines()
            for line in filter(None, map(str.strip, lines)):
                # Labels or seconds, unless a file is called so.
                numbers = re.search(r'(\s+[-\d.,]+)+$', line)
                path = osp.join(osp.dirname(source), line)
                if numbers and not osp.isfile(path):
                    line = line[:numbers.start()]
                name = osp.normpath(line).replace(os.sep, '/')
                add(re.sub(r'^[./]+', '', name),
                    osp.join(osp.dirname(source), line))
        else:
            add(osp.basename(source), source)
    if not videos:
        raise ValueError(f'no video files in {", ".join(sources)}')
    return videos


def list_folders(root: str, folders: Iterable[str]) -> list[str]:
    """The files directly in some folders, wherever MMEngine finds them.

    Folders are from ``root``, '' for itself; those that do not exist have no
    files. Paths are from ``root`` too, sorted.
    """
    found = []
    for folder in sorted(set(folders)):
        path = osp.join(root, folder) if folder else root or '.'
        if isdir(path):
            found += [osp.join(folder, name)
                      for name in list_dir_or_file(path, list_dir=False)]
    return sorted(found)


def find_videos(wanted: Mapping[str, Sequence[str]], root: str,
                anywhere: bool = False) -> dict[str, list[str]]:
    """Finds the files of videos that annotations name.

    ``wanted`` has, by its name, the paths from ``root`` at which a video may
    be, with suffix or without; with ``anywhere`` all folders under ``root``
    are looked through for what is at none of these. The result are paths from
    ``root`` by name, several where a name fits several files.
    """
    files = list_folders(
        root, (osp.dirname(osp.normpath(p)) for paths in wanted.values()
               for p in paths))
    found = match_videos(wanted, files)
    lost = {n: [osp.basename(n)] for n in wanted if n not in found}
    if anywhere and lost and osp.isdir(root or '.'):
        everywhere = defaultdict(list)
        for path in list_videos(root or '.'):
            everywhere[osp.basename(path)].append(path)
        for name, files in match_videos(lost, everywhere).items():
            found[name] = [p for f in files for p in everywhere[f]]
    return found


def match_videos(wanted: Mapping[str, Sequence[str]],
                 files: Iterable[str]) -> dict[str, list[str]]:
    """Which of the given files are those of which videos, by name.

    A name that has a suffix is that file; else it is any video file of that
    name. Names may be composed otherwise (a letter and its accent as one
    character or two), as file systems do. Arguments are as in
    :func:`find_videos`.
    """
    exact, by_stem = defaultdict(list), defaultdict(list)
    for path in files:
        exact[_key(path)].append(path)
        if is_video(path):
            by_stem[_key(osp.splitext(path)[0])].append(path)
    found = {}
    for name, paths in wanted.items():
        fitting = [f for p in paths for f in exact.get(_key(p), ())] or [
            f for p in paths for f in by_stem.get(_key(p), ())]
        if fitting:
            found[name] = list(dict.fromkeys(fitting))
    return found


def _key(path: str) -> str:
    path = unicodedata.normalize('NFC', path).replace('\\', '/')
    return path[2:] if path.startswith('./') else path


def count_frame_images(folder: str, filename_tmpl: str = 'img_{:05}.jpg',
                       start_index: int = 1,
                       is_there: Callable[[str], bool] = exists) -> int:
    """Counts the images of a frame folder with few looks into it.

    The folder is not listed: some 50 questions find the end of the numbers. A
    gap in front of many images is a ValueError; one that is not met here is an
    error when its frame is read. ``filename_tmpl`` names an image by its
    number, from ``start_index``; ``is_there`` tells whether a file exists.
    """

    def has(num: int) -> bool:
        """Whether there are at least num images."""
        name = filename_tmpl.format(start_index + num - 1)
        return is_there(osp.join(folder, name))

    low, high = 0, 1
    while has(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if has(middle) else (low, middle)
    after = next((low + 2**k for k in range(1, low.bit_length() + 1)
                  if has(low + 2**k)), 0)
    if after:
        raise data_error(
            folder, f'image {start_index + low} is missing, but '
            f'{start_index + after - 1} is there', 'extract the frames anew, '
            'or number them without gaps')
    return low


def load_video_index(index_file: str, build_command: str = '') -> dict:
    """Entries by video path, of a file of tools/data/build_video_index.py.

    A file that is not there or no index is an error, with ``build_command``.
    """
    remedy = build_command or (
        f'build it by {tool("data/build_video_index.py")}')
    where = f'index_file {index_file!r}'
    if not exists(index_file):
        raise data_error(where, 'it does not exist', remedy, FileNotFoundError)
    # The tools keep what an index holds and add to it; not to such a one.
    remedy = f'remove it, and {remedy}'
    try:
        index = mmengine.load(index_file, file_format='json')
    except (OSError, ValueError) as e:
        raise data_error(where, f'it is no JSON file: {e}', remedy) from e
    if not isinstance(index, dict):
        raise data_error(where, f'it holds a {type(index).__name__}, not a '
                         'mapping of videos', remedy)
    for video, entry in index.items():
        if not _is_entry(entry):
            raise data_error(
                where, f'the entry of {video!r} is {entry!r}; it needs '
                'num_frames >= 0 and fps > 0, and a whole table, if any',
                remedy)
    return index


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    num, fps = entry.get('num_frames'), entry.get('fps')
    if not isinstance(num, int) or num < 0 or (num and not (
            isinstance(fps, (int, float)) and fps > 0)):
        return False
    table = entry.get('table', entry)
    return table is entry or (isinstance(table, dict) and {
        'time_base', 'zero', 'times', 'keys', 'width', 'height'
    } <= {*table, *entry})


def is_outdated(entry: Mapping) -> bool:
    """Whether an entry of a video file was made before there were tables."""
    return bool(entry.get('size') and entry['num_frames']
                and 'table' not in entry)


def check_on_disk(paths: Iterable[str], what: str) -> None:
    """Raises an error if paths are addresses, such as s3://bucket/a.mp4."""
    remote = [p for p in paths if '://' in p and not osp.exists(p)]
    if remote:
        raise ValueError(
            f'{what} {first_names(remote)}: not on a disk, so that the frames '
            'cannot be counted from here. Remedy: build the index where the '
            'videos lie on a disk, with their paths as in the list, and set '
            'index_file')


def in_threads(func: Callable[[Any], Any], items: list,
               num_threads: int = _NUM_IO_THREADS, show: bool = False) -> list:
    """Asks about files in threads: network file systems answer slowly.

    Answers are in order; ``show`` shows progress.
    """
    with ThreadPoolExecutor(num_threads) as pool:
        answers = pool.map(func, items)
        return list(
            track_iter_progress((answers, len(items))) if show else answers)
