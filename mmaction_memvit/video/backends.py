# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The readers by name."""
from typing import Callable

from ..messages import check_choice
from . import decord_reader, scan
from .decode import PyAVReader
from .decord_reader import DecordReader

BACKENDS: dict[str, Callable] = {'pyav': PyAVReader, 'decord': DecordReader}


def choose_backend(backend: str) -> str:
    """Resolves ``'auto'``, which is PyAV, and checks what is installed.

    PyAV, which scans all files, is always needed; what is missing is an
    ImportError, another name a ValueError.
    """
    backend = 'pyav' if backend == 'auto' else backend
    check_choice('backend', backend, ('auto', *BACKENDS))
    needed = {'av': scan.av}
    if backend == 'decord':
        needed['decord'] = decord_reader.decord
    for package, module in needed.items():
        if module is None:
            raise ImportError(f'{package} is needed to read videos with '
                              f'backend={backend!r}; run "pip install '
                              f'{package}"')
    return backend
