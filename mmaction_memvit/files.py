# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files that are there only once they are whole."""
import csv
import os
import os.path as osp
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO


@contextmanager
def whole_file(path: str, mode: str = 'wb', **kwargs) -> Iterator[IO]:
    """Opens a file for writing, with the arguments of :func:`open`.

    Folders are made. After an error or interruption an old file is still
    there, and no half a new one.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    part = f'{path}.{os.getpid()}.part'
    with open(part, mode, **kwargs) as f:
        yield f
    os.replace(part, path)


def remove_parts(folder: str) -> None:
    """Removes what processes that were killed had begun to write."""
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith('.part'):
                os.remove(osp.join(root, name))


def write_failed(path: str, failed: Mapping[str, str]) -> None:
    """Writes why videos could not be read, as a table."""
    with whole_file(path, 'w', newline='', encoding='utf-8') as f:
        rows = csv.writer(f, lineterminator='\n')
        rows.writerows([('video', 'reason'), *sorted(failed.items())])
