# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files that are there only once they are whole."""
import os
import os.path as osp
from collections.abc import Iterator
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
