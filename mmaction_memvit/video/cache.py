# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Readers that stay open from clip to clip."""
from collections import OrderedDict
from typing import Callable

from ..messages import warn


class ReaderCache:
    """Open readers of the videos used last, at most ``size``; 0 keeps none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.opened = 0
        self._readers: OrderedDict = OrderedDict()
        self._evicted: OrderedDict = OrderedDict()
        self._requests = 0
        self._reopened = 0
        self._warned = False

    def __len__(self) -> int:
        """Number of open readers."""
        return len(self._readers)

    def get(self, key: str, open_reader: Callable):
        """Returns the reader of ``key``, opening it where necessary."""
        self._requests += 1
        if key in self._readers:
            self._readers.move_to_end(key)
            return self._readers[key]
        self._look_for_thrashing(key)
        # Room first, so that never more than `size` files are open.
        while self._readers and len(self._readers) >= max(self.size, 1):
            old, reader = self._readers.popitem(last=False)
            reader.close()
            self._evicted[old] = self._requests
            if len(self._evicted) > 4 * max(self.size, 1):
                self._evicted.popitem(last=False)
        reader = open_reader()
        self.opened += 1
        self._readers[key] = reader
        return reader

    def drop(self, key: str) -> None:
        """Closes and forgets the reader of ``key``, if there is one."""
        reader = self._readers.pop(key, None)
        if reader is not None:
            reader.close()

    def release(self, key: str) -> None:
        """Ends the use of a reader: with ``size=0`` it is closed."""
        if self.size == 0:
            self.drop(key)

    def _look_for_thrashing(self, key: str) -> None:
        since = self._requests - self._evicted.pop(key, -1 << 60)
        if self.size == 0 or since > 4 * self.size:
            return
        self._reopened += 1
        if self._reopened > 4 * self.size and not self._warned:
            self._warned = True
            warn(f'LoadVideoClip keeps cache_size={self.size} videos open, '
                 'and keeps re-opening videos that it has just closed. Set '
                 'cache_size to at least the batch size (the number of videos '
                 'that a batch reads from).')
