# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What happens to rows that cannot be used."""
from collections import Counter
from typing import Callable

import numpy as np

from ..messages import check_choice, data_error, warn

# So many bad rows are described.
_SHOWN = 3


class BadRow(ValueError):
    """A row cannot be used; the message gives value, limit and remedy.

    ``kind`` says what is wrong in general, for the counts.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class BadRows:
    """What to do about rows that cannot be used.

    Args:
        path (str): The file.
        lines (np.ndarray): Line of every row, (R, ).
        policy (str): ``'error'``, or ``'skip'`` to leave them out and say so
            once, with counts and the first of them.
        option (str): How the user asks for leaving out, for the message.
            Defaults to "bad_rows='skip'".
    """

    def __init__(self,
                 path: str,
                 lines: np.ndarray,
                 policy: str = 'error',
                 option: str = "bad_rows='skip'") -> None:
        check_choice('bad_rows', policy, ('error', 'skip'))
        self.path = path
        self.lines = lines
        self.policy = policy
        self.option = option
        #: np.ndarray: Which rows are bad, bools of shape (R, ).
        self.bad = np.zeros(len(lines), dtype=bool)
        self.kinds: Counter = Counter()
        self._examples: dict[int, str] = {}

    def flag(self, bad: np.ndarray, kind: str,
             explain: Callable[[int], str]) -> None:
        """Notes rows (bools, or numbers); the first fault of a row counts.

        ``kind`` says what is wrong in general, ``explain`` gives value and
        limit by row.
        """
        bad = np.asarray(bad)
        rows = np.flatnonzero(bad) if bad.dtype == bool else bad
        rows = rows[~self.bad[rows]]
        for row in rows[:_SHOWN].tolist():
            self._examples[row] = explain(row)
        if len(rows):
            self.kinds[kind] += len(rows)
        self.bad[rows] = True

    def add(self, row: int, error: BadRow) -> None:
        """Notes a row."""
        self.flag(np.asarray([row]), error.kind, lambda _: str(error))

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f'{self.path}:{self.lines[row]}'

    def good(self) -> np.ndarray:
        """Which rows can be used, bools (R, ); raises or logs the others."""
        total = int(self.bad.sum())
        if not total:
            return ~self.bad
        told = '; '.join(f'line {self.lines[row]}: {self._examples[row]}'
                         for row in sorted(self._examples)[:_SHOWN])
        kinds = ', '.join(f'{num} {kind}' for kind, num in self.kinds.items())
        what = (f'{total} of {len(self.bad)} rows are bad ({kinds}): {told}'
                + ('; ...' if total > _SHOWN else ''))
        if self.policy == 'error':
            raise data_error(
                self.path, what, 'correct the file, or leave such rows out '
                f'by {self.option}')
        warn(f'{self.path}: {what}. They are left out')
        return ~self.bad
