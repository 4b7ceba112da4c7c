# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads text files, tables and pickles, and says what is wrong with them.

All annotation files are read here: UTF-8, with or without Excel's byte order
mark, separated by commas, tabs or semicolons, as the first line tells. Errors
name the file, the line, the value, its limit and a remedy.
"""
import csv
import importlib
import io
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
from mmengine.fileio import get

from ..messages import check_choice, data_error, warn

# How files begin that are often taken for text, and what helps.
_PACKED = (
    (b'PK\3\4', 'a workbook or archive', "save the table as 'CSV UTF-8', or "
     'unpack the file'),
    (b'\x1f\x8b', 'compressed', 'unpack it by gunzip'))
# So many bad rows are described.
_SHOWN = 3
# All that a pickle of arrays, lists and text needs.
_HARMLESS = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'),
    ('copy_reg', '_reconstructor'), ('copyreg', '_reconstructor'),
    ('__builtin__', 'object'), ('builtins', 'object'),
    ('builtins', 'bytearray'), ('collections', 'OrderedDict'),
    ('__builtin__', 'bytes'),  # of an empty array, in protocol 2
    *((f'numpy.{core}.{module}', name) for core in ('core', '_core')
      for module, name in (('multiarray', '_reconstruct'),
                           ('multiarray', 'scalar'),
                           ('numeric', '_frombuffer')))
}


def read_bytes(path: str, remedy: str = 'check the path') -> bytes:
    """Content of a file or URL, of any back end of MMEngine.

    A FileNotFoundError with ``remedy`` says that it cannot be fetched.
    """
    try:
        return bytes(get(path))
    except OSError as e:
        why = ('does not exist' if isinstance(e, FileNotFoundError) else
               f'cannot be fetched: {e}')
        raise FileNotFoundError(f'{path!r} {why}. Remedy: {remedy}') from e


def read_text(path: str, remedy: str = 'check the path') -> str:
    """Text of a file in UTF-8, without the byte order mark.

    Other encodings are not guessed: that would change names without a word.
    """
    data = read_bytes(path, remedy)
    for start, kind, help in _PACKED:
        if data.startswith(start):
            raise data_error(path, f'is {kind}, but must be text', help)
    if data[:2] in (b'\xff\xfe', b'\xfe\xff') or b'\0' in data:
        line, found, name = 1, 'is UTF-16 or no text', 'UTF-16'
    else:
        try:
            return data.decode('utf-8-sig')
        except UnicodeDecodeError as e:
            line = data.count(b'\n', 0, e.start) + 1
            found = f'byte 0x{data[e.start]:02x} is no UTF-8'
            name = 'WINDOWS-1252'
    raise data_error(
        f'{path}:{line}', f'{found}, but files must be UTF-8',
        "save it as UTF-8 (in Excel 'CSV UTF-8'), or try: "
        f'iconv -f {name} -t UTF-8 {path}')


def read_lines(path: str, remedy: str = 'check the path') -> list[str]:
    """Lines of a text file, without their ends; see :func:`read_text`."""
    text = read_text(path, remedy).replace('\r\n', '\n').replace('\r', '\n')
    return text.split('\n')[:-1] if text.endswith('\n') else text.split('\n')


class _Unpickler(pickle.Unpickler):

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(
                f'it holds {module}.{name}, but only arrays, lists and dicts '
                'are read')
        if module.startswith('numpy._core'):
            # What NumPy 2 wrote, with NumPy 1.
            try:
                importlib.import_module(module)
            except ImportError:
                module = module.replace('_core', 'core')
        return super().find_class(module, name)


def read_pickle(path: str, remedy: str) -> Any:
    """Content of a pickle; no code in it is run.

    Pickles of the web hold whatever their author wanted: it is a ValueError
    with ``remedy`` if it is anything but arrays, text, numbers, lists, dicts.
    """
    content = read_bytes(path, remedy)
    try:
        # latin1: arrays that Python 2 wrote.
        return _Unpickler(io.BytesIO(content), encoding='latin1').load()
    # A damaged pickle may raise nearly anything.
    except Exception as e:
        raise data_error(path, f'cannot be unpickled ({type(e).__name__}: '
                         f'{e})', remedy) from e


@dataclass(eq=False)
class Table:
    """Columns of cells as text, without white space around.

    ``lines`` and ``widths`` are line and number of cells of every row, int64
    (R, ), ``header`` the names of columns, if there are any.
    """
    path: str
    cells: list[list[str]]
    lines: np.ndarray
    widths: np.ndarray
    header: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.lines)

    def __contains__(self, name: str) -> bool:
        """Whether there is a column."""
        return name in self.header

    def __getitem__(self, column) -> list[str]:
        """Cells of a column, by number or name."""
        if isinstance(column, str):
            column = self.header.index(column)
        if column >= len(self.cells):
            return [''] * len(self)
        return self.cells[column]

    def filled(self, column) -> np.ndarray:
        """Which cells of a column have text, bools of shape (R, )."""
        return np.fromiter(map(bool, self[column]), bool, len(self))

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f'{self.path}:{self.lines[row]}'

    def with_header(self, needed: Sequence[str], remedy: str,
                    exact: bool = True) -> 'Table':
        """The table below a first row of names.

        It is an error if a ``needed`` column is missing or, with ``exact``,
        if a row is not as long as the header.
        """
        header = tuple(c[0] for c in self.cells)[:self.widths[0]] if len(
            self) else ()
        absent = [name for name in needed if name not in header]
        if absent:
            raise data_error(
                f'{self.path}:1', f'no column {", ".join(map(repr, absent))}; '
                f'the first line is {",".join(header)!r}', remedy)
        table = Table(self.path, [c[1:] for c in self.cells], self.lines[1:],
                      self.widths[1:], header)
        wrong = np.flatnonzero(table.widths != len(header))
        if exact and len(wrong):
            raise data_error(
                table.where(wrong[0]), f'{table.widths[wrong[0]]} fields, but '
                f'the header names {len(header)}', 'complete the row, if it '
                'is cut off; put fields with commas into double quotes')
        return table

    def numbers(self, column, empty: float = np.nan) -> np.ndarray:
        """Numbers of a column, float64 (R, ); see :func:`to_numbers`."""
        return to_numbers(self[column], empty)

    def integers(self, column, low: float = -np.inf, high: float = np.inf,
                 remedy: str = 'correct the row') -> np.ndarray:
        """Whole numbers from ``low`` to ``high``, int64 (R, ).

        Others are an error.
        """
        values = self.numbers(column)
        with np.errstate(invalid='ignore'):
            good = is_whole(values) & (values >= low) & (values <= high)
        if not good.all():
            row = int(good.argmin())
            limits = f' from {low}' * (low > -np.inf)
            limits += f' to {high}' * (high < np.inf)
            name = column.replace('_', ' ') if isinstance(
                column, str) else f'column {column + 1}'
            raise data_error(
                self.where(row), f'{name} {self[column][row]!r} is no whole '
                f'number{limits}', remedy)
        return values.astype(np.int64)


def read_table(path: str, remedy: str = 'check the path') -> Table:
    """Reads a table of separated values, as text; quotes are those of CSV.

    Rows without any text are passed over. A missing file is a
    FileNotFoundError with ``remedy``, a quote that is not closed a ValueError.
    """
    text = read_text(path, remedy)
    first = text.lstrip().split('\n', 1)[0]
    # The first of these wins where they are equally frequent.
    delimiter = max(',\t;', key=first.count)
    # Not pandas.read_csv, which tells neither the lines nor the lengths of
    # rows: a row that is cut off would have empty cells.
    reader = csv.reader(
        io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    rows, lines, line = [], [], 1
    try:
        for row in reader:
            if ''.join(row).strip():
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as e:
        raise data_error(
            f'{path}:{line}', f'a double quote is not closed or misplaced in '
            f'the row that begins here ({e})', 'close it, or write "" for a '
            'quote inside quotes') from e
    widths = np.asarray(list(map(len, rows)), np.int64)
    num = int(widths.max(initial=1))
    for row in rows if (widths < num).any() else ():
        row += [''] * (num - len(row))
    cells = [[row[k].strip() for row in rows] for k in range(num)]
    return Table(path, cells, np.asarray(lines, np.int64), widths)


def to_numbers(cells: Sequence[str], empty: float = np.nan) -> np.ndarray:
    """Numbers of cells, float64: ``empty`` for empty ones, NaN for others.

    pandas' own conversion may be off in the last digit; measures would be.
    """

    def number(text: str) -> float:
        try:
            # float() takes 1_0 for 10.
            return np.nan if '_' in text else float(text)
        except ValueError:
            return np.nan if text else empty

    try:
        if '_' not in ''.join(cells):
            return np.asarray(cells, object).astype(np.float64)
    except ValueError:
        pass
    return np.fromiter(map(number, cells), np.float64, len(cells))


def is_whole(values: np.ndarray) -> np.ndarray:
    """Which numbers are whole; greater ones than 2**53 are not exact."""
    with np.errstate(invalid='ignore'):
        return (np.abs(values) <= 2.**53) & (values == np.rint(values))


class BadRows:
    """What to do about rows of a table that cannot be used.

    Args:
        table (Table): The table.
        policy (str): ``'error'``, or ``'skip'`` to leave them out and say so
            once, with counts and the first of them. Defaults to ``'error'``.
        option (str): How users ask for leaving out, for the message. Defaults
            to "bad_rows='skip'".
    """

    def __init__(self, table: Table, policy: str = 'error',
                 option: str = "bad_rows='skip'") -> None:
        check_choice('bad_rows', policy, ('error', 'skip'))
        self.table = table
        self.policy = policy
        self.option = option
        #: np.ndarray: Which rows are bad, bools of shape (R, ).
        self.bad = np.zeros(len(table), dtype=bool)
        self._kinds: Counter = Counter()
        self._examples: dict[int, str] = {}

    def flag(self, bad: np.ndarray, kind: str,
             explain: Callable[[int], str]) -> None:
        """Notes rows, bools (R, ); the first fault of a row counts.

        ``explain`` gives value and limit by row.
        """
        rows = np.flatnonzero(np.asarray(bad) & ~self.bad)
        for row in rows[:_SHOWN].tolist():
            self._examples[row] = explain(row)
        self._kinds[kind] += len(rows)
        self.bad[rows] = True

    def good(self) -> np.ndarray:
        """Which rows can be used, bools (R, ); raises or logs the others."""
        total = int(self.bad.sum())
        if not total:
            return ~self.bad
        told = '; '.join(f'line {self.table.lines[row]}: {text}'
                         for row, text in sorted(self._examples.items())
                         [:_SHOWN])
        kinds = ', '.join(f'{num} {kind}'
                          for kind, num in self._kinds.items() if num)
        what = (f'{total} of {len(self.bad)} rows are bad ({kinds}): {told}'
                + '; ...' * (total > _SHOWN))
        if self.policy == 'error':
            raise data_error(
                self.table.path, what, 'correct the file, or leave such rows '
                f'out by {self.option}')
        warn(f'{self.table.path}: {what}. They are left out')
        return ~self.bad
