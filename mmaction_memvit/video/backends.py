# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The readers by name."""
from typing import Callable

from . import decord_reader, scan
from .decode import PyAVReader
from .decord_reader import DecordReader

BACKENDS: dict[str, Callable] = {'pyav': PyAVReader, 'decord': DecordReader}


def choose_backend(backend: str) -> str:
    """Resolves ``'auto'`` and checks that what is needed is installed.

    Args:
        backend (str): ``'pyav'``, ``'decord'`` or ``'auto'``, which is PyAV.

    Returns:
        str: ``'pyav'`` or ``'decord'``.

    Raises:
        ValueError: If the name is another one.
        ImportError: If PyAV, which scans all files, or the backend is not
            installed.
    """
    backend = 'pyav' if backend == 'auto' else backend
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r} is unknown; it must be 'auto', "
                         "'pyav' or 'decord'")
    needed = {'av': scan.av}
    if backend == 'decord':
        needed['decord'] = decord_reader.decord
    for package, module in needed.items():
        if module is None:
            raise ImportError(f'{package} is needed to read videos with '
                              f'backend={backend!r}; run "pip install '
                              f'{package}"')
    return backend
