# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Finds the files of videos and the folders of their frames."""
import os
import os.path as osp
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Callable

from mmengine.fileio import exists, isdir, list_dir_or_file

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
    return sorted(
        osp.join(folder, name).replace(os.sep, '/')
        for folder, _, files in walk(root) for name in files
        if is_video(name))


def list_folders(root: str, folders: Iterable[str]) -> list[str]:
    """The files directly in some folders, wherever MMEngine finds them.

    Folders are from ``root``, '' for itself; those that do not exist have no
    files. Paths are from ``root`` too, sorted.
    """
    found = []
    for folder in sorted(set(folders)):
        path = osp.join(root, folder) if folder else root or '.'
        if isdir(path):
            found += [
                osp.join(folder, name)
                for name in list_dir_or_file(path, list_dir=False)
            ]
    return sorted(found)


def find_videos(wanted: Mapping[str, Sequence[str]],
                root: str,
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


def count_frame_images(folder: str,
                       filename_tmpl: str = 'img_{:05}.jpg',
                       start_index: int = 1,
                       guess: int = 0,
                       is_there: Callable[[str], bool] = exists) -> int:
    """Counts the images of a frame folder with few looks into it.

    The folder is not listed: some 30 questions find the end of numbers without
    gaps, three if the ``guess`` (0 for none) is right. ``filename_tmpl`` names
    an image by its number, from ``start_index``; ``is_there`` tells whether a
    file exists.
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
