# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Makes index files; data sets read them by :mod:`.find`."""
import json
import os.path as osp
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Callable, Optional

from mmengine.utils import track_iter_progress

from ..files import whole_file
from .find import is_outdated, load_video_index
from .scan import probe_video

# Seconds between two writings of an index that is being built.
_SAVE_EVERY = 30.


def write_video_index(index: Mapping[str, dict], index_file: str) -> None:
    """Writes an index so that an interruption leaves the old file whole."""
    lines = (f'{json.dumps(k)}: {json.dumps(v)}' for k, v in index.items())
    with whole_file(index_file, 'w', encoding='utf-8') as f:
        f.write('{\n' + ',\n'.join(lines) + '\n}\n')


def known_entries(index: Mapping[str, dict], paths: Mapping[str, str],
                  decode: bool = False) -> dict[str, dict]:
    """The entries of the asked videos that still fit their files.

    What failed is to be tried again, since a file may have been mended; with
    ``decode``, all that is there.
    """
    known = {}
    for name, path in paths.items():
        entry = index.get(name)
        if not entry or not entry['num_frames']:
            continue
        # A disk may be away: what was found out is true when it is back.
        if not osp.exists(path) or not (decode or is_outdated(
                entry) or entry.get('size') != osp.getsize(path)):
            known[name] = entry
    return known


def earlier_index(path: Optional[str]) -> dict:
    """What an index file holds; nothing where there is none yet."""
    return load_video_index(path) if path and osp.exists(path) else {}


def update_index(index: dict, paths: Mapping[str, str],
                 index_file: Optional[str] = None, num_workers: int = 1,
                 decode: bool = False,
                 probe: Optional[Callable[[str, bool], dict]] = None) -> int:
    """Adds the videos that an index does not know; returns how many it knew.

    The file is written every 30 s, as a process that is killed writes nothing
    more, and at the end, also if that is an error or an interruption.

    ``index`` has entries by video and is changed, ``paths`` the path of each
    video by its name. With ``decode`` all videos are decoded, also those that
    are known. ``probe`` makes an entry of a path and ``decode``; None is
    :func:`probe_video`.
    """
    known = known_entries(index, paths, decode)
    todo = {n: p for n, p in paths.items() if n not in known}
    saved = time.monotonic()
    try:
        entries = _probe_all(todo, num_workers, decode, probe or probe_video)
        for name, entry in track_iter_progress(
                (entries, len(todo))) if todo else ():
            index[name] = entry
            if index_file and time.monotonic() - saved > _SAVE_EVERY:
                write_video_index(index, index_file)
                saved = time.monotonic()
    except BrokenProcessPool as e:
        left = [v for v in todo if v not in index]
        raise RuntimeError(
            f'a worker process crashed while it read one of {len(left)} '
            f'videos, such as {left[0]!r}. Remedy: run this again with '
            '--num-workers 1; the last video before the crash is the one to '
            'take out') from e
    finally:
        if index_file:
            write_video_index(index, index_file)
    return len(known)


def _probe_all(paths: Mapping[str, str], num_workers: int, decode: bool,
               probe: Callable) -> Iterator[tuple[str, dict]]:
    if num_workers == 1 or len(paths) < 2:
        for name, path in paths.items():
            yield name, probe(path, decode)
        return
    # Unlike multiprocessing.Pool, this one notices when a worker crashes.
    with ProcessPoolExecutor(num_workers) as pool:
        futures = {pool.submit(probe, path, decode): name
                   for name, path in paths.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
