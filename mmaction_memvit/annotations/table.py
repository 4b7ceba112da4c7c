# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads text files and tables, and says what is wrong with them.

All annotation files are read here: UTF-8, with or without Excel's byte order
mark, separated by commas, tabs or semicolons, as the first line tells. Errors
name the file, the line, the value, its limit and a remedy.
"""
import csv
import io
from collections.abc import Iterable, Sequence
from typing import Optional

import numpy as np
import pandas as pd
from mmengine.fileio import get


def first_names(names: Iterable, num: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    names = list(names)
    shown = ', '.join(repr(n) for n in names[:num])
    rest = len(names) - num
    return f'{shown} and {rest} more' if rest > 0 else shown


def data_error(where: str,
               problem: str,
               remedy: str,
               kind: type = ValueError) -> Exception:
    """The error of a file: where it is, what is wrong, what helps.

    Args:
        where (str): File, or ``file:line``.
        problem (str): The value and its limit.
        remedy (str): What to do.
        kind (type): Type of the error. Defaults to ValueError.

    Returns:
        Exception: To be raised.
    """
    return kind(f'{where}: {problem}. Remedy: {remedy}')


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises a ValueError if an option has none of its values."""
    if value not in choices:
        raise ValueError(f'{name}={value!r} must be one of {tuple(choices)}')


def read_bytes(path: str, remedy: str = 'check the path') -> bytes:
    """Content of a file or URL.

    Args:
        path (str): Path or URL, of any back end of MMEngine.
        remedy (str): What to do if it is not there.

    Returns:
        bytes: The content.

    Raises:
        FileNotFoundError: If it cannot be fetched.
    """
    try:
        return bytes(get(path))
    except OSError as e:
        why = ('does not exist' if isinstance(e, FileNotFoundError) else
               f'cannot be fetched: {e}')
        raise FileNotFoundError(f'{path!r} {why}. Remedy: {remedy}') from e


def read_text(path: str, remedy: str = 'check the path') -> str:
    """Text of a file in UTF-8, without the byte order mark.

    Args:
        path (str): Path or URL.
        remedy (str): What to do if it is not there.

    Returns:
        str: The text, with its own line breaks.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is in another encoding. None is guessed: a wrong
            guess would change names without a word.
    """
    data = read_bytes(path, remedy)
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


class Table:
    """Cells of a table as text, and the line of every row.

    Args:
        path (str): The file.
        cells (list[list[str]]): Columns, without white space around cells.
        lines (np.ndarray): Line of every row, int64 of shape (R, ).
        widths (np.ndarray): Number of cells of every row, int64 (R, ).
        header (tuple[str]): Names of columns; none if there is no header.
    """

    def __init__(self,
                 path: str,
                 cells: list[list[str]],
                 lines: np.ndarray,
                 widths: np.ndarray,
                 header: tuple[str, ...] = ()) -> None:
        self.path = path
        self.cells = cells
        self.lines = lines
        self.widths = widths
        self.header = header

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

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f'{self.path}:{self.lines[row]}'

    def with_header(self,
                    needed: Sequence[str],
                    remedy: str,
                    exact: bool = True) -> 'Table':
        """The table below a first row of names.

        Args:
            needed (Sequence[str]): Columns that must be there.
            remedy (str): What to do if one is not.
            exact (bool): Whether rows must be as long as the header.
                Defaults to True.

        Returns:
            Table: Without the first row.

        Raises:
            ValueError: If a column is missing or a row has another length.
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
        """Numbers of a column, NaN where there is none.

        Args:
            column (int | str): Number or name.
            empty (float): What an empty cell is. Defaults to NaN.

        Returns:
            np.ndarray: float64 of shape (R, ), exactly what stands there.
        """
        return to_numbers(self[column], empty)

    def integers(self,
                 column,
                 low: Optional[int] = None,
                 high: Optional[int] = None,
                 remedy: str = 'correct the row') -> np.ndarray:
        """Whole numbers of a column.

        Args:
            column (int | str): Number or name.
            low (int, optional): Least value. Defaults to None.
            high (int, optional): Greatest value. Defaults to None.
            remedy (str): What to do about others.

        Returns:
            np.ndarray: int64 of shape (R, ).

        Raises:
            ValueError: If there is another value.
        """
        values = self.numbers(column)
        with np.errstate(invalid='ignore'):
            good = is_whole(values)
            good &= values >= (-np.inf if low is None else low)
            good &= values <= (np.inf if high is None else high)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            limits = '' if low is None else f' from {low}'
            limits += '' if high is None else f' to {high}'
            raise data_error(
                self.where(row), f'{column} {self[column][row]!r} is no whole '
                f'number{limits}', remedy)
        return values.astype(np.int64)


def read_table(path: str, remedy: str = 'check the path') -> Table:
    """Reads a table of separated values.

    Rows without any text are passed over. Quotes are those of CSV.

    Args:
        path (str): Path or URL.
        remedy (str): What to do if it is not there.

    Returns:
        Table: The cells as text.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not in UTF-8, or a quote is not closed.
    """
    text = read_text(path, remedy)
    first = text.lstrip().split('\n', 1)[0]
    # The first of these wins where they are equally frequent.
    delimiter = max(',\t;', key=first.count)
    lines, widths = _outline(path, text, delimiter)
    num = int(widths.max(initial=1))
    cells: list[list[str]] = [[] for _ in range(num)]
    if len(lines):
        frame = pd.read_csv(
            io.StringIO(text, newline=''),
            sep=delimiter,
            header=None,
            names=range(num),
            index_col=False,
            dtype=object,
            na_filter=False,
            skip_blank_lines=False)
        cells = [[x.strip() for x in frame[k].tolist()] for k in range(num)]
    filled = np.zeros(len(lines), dtype=bool)
    for column in cells:
        filled |= np.fromiter(map(bool, column), bool, len(lines))
    if not filled.all():
        rows = np.flatnonzero(filled).tolist()
        cells = [[column[i] for i in rows] for column in cells]
        lines, widths = lines[rows], widths[rows]
    return Table(path, cells, lines, widths)


def _outline(path: str, text: str,
             delimiter: str) -> tuple[np.ndarray, np.ndarray]:
    """Line and number of fields of every row, empty ones included."""
    if '"' not in text:
        rows = text.replace('\r\n', '\n').replace('\r', '\n').split('\n')
        if not rows[-1]:
            rows.pop()
        widths = [row.count(delimiter) + 1 for row in rows]
        return (np.arange(1, len(rows) + 1), np.asarray(widths, np.int64))
    reader = csv.reader(
        io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    lines, widths, line = [], [], 1
    try:
        for row in reader:
            lines.append(line)
            widths.append(max(len(row), 1))
            line = reader.line_num + 1
    except csv.Error as e:
        raise data_error(
            f'{path}:{line}', f'a double quote is not closed or misplaced in '
            f'the row that begins here ({e})', 'close it, or write "" for a '
            'quote inside quotes') from e
    return np.asarray(lines, np.int64), np.asarray(widths, np.int64)


def to_numbers(cells: Sequence[str], empty: float = np.nan) -> np.ndarray:
    """Numbers of cells, NaN where there is none.

    pandas' own conversion may be off in the last digit; measures would be.

    Args:
        cells (Sequence[str]): Text.
        empty (float): What an empty cell is. Defaults to NaN.

    Returns:
        np.ndarray: float64.
    """
    if not any(cells):
        return np.full(len(cells), empty)
    try:
        # float() takes 1_0 for 10.
        if not any('_' in x for x in cells):
            return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        pass
    return np.asarray([_number(x, empty) for x in cells], np.float64)


def _number(text: str, empty: float) -> float:
    if not text:
        return empty
    try:
        return np.nan if '_' in text else float(text)
    except ValueError:
        return np.nan


def is_whole(values: np.ndarray) -> np.ndarray:
    """Which numbers are finite and whole."""
    with np.errstate(invalid='ignore'):
        return np.isfinite(values) & (values == np.rint(values))
