# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Annotations and results in AVA's form.

Rows are ``video,timestamp,x1,y1,x2,y2,action[,person]``, or with a score as
eighth column in results; boxes are shares of the image's width and height. A
row of annotations that ends after the timestamp, or whose other columns are
empty, is a keyframe without a box, as in the file lists of AVA's test set.

Data sets, metric and tools read them here, so that a row is good or bad for
all of them. As the official evaluation does (``get_ava_performance.py``), we
take names with commas in quotes and whole numbers for timestamps, actions and
persons. More strictly than it, we refuse annotations that it counts as missed
though nobody can find them: boxes without area or outside the image, times
below 0, and actions that are no class.

==============================  ============  ============
row                             annotations   results
==============================  ============  ============
``"a,b"`` as name               good          good
action ``2.0``, time ``902.0``  good          good
box without area                bad           good
x2 = 1.0005                     good          good
x2 = 1.5                        bad           good
x2 = 2.5, or no number          bad           bad
time -3 or 1.5                  bad           bad
class 200 of 80                 bad           passed over
person ``x``                    bad
score ``x``                                   bad
==============================  ============  ============
"""
import csv
import io
from collections.abc import Collection, Iterable
from typing import Optional

import numpy as np
from mmengine.fileio import put_text

from ..messages import data_error
from .bad_rows import BadRows
from .table import Table, is_whole

#: A keyframe: name of the video and timestamp.
Key = tuple[str, int]

_FORM = 'video,timestamp,x1,y1,x2,y2,action_id'
#: By so much a box may exceed the image from rounding alone.
TOLERANCE = 1e-3
# Detectors overshoot; further than that, boxes are in pixels.
_FARTHEST = 2.
_NO_PERSON = -1


def image_key(video: str, timestamp: int) -> str:
    """The name of a keyframe in AVA's files, e.g. ``'1j20qq1JyX4,0902'``."""
    return f'{video},{timestamp:04d}'


class AVARows:
    """The rows of a file column by column, and which are bad.

    ``bad_rows`` is 'error' or 'skip', ``option`` how users ask for the latter;
    with ``has_scores`` the eighth column is a score, else a person.
    """

    def __init__(self,
                 table: Table,
                 bad_rows: str = 'error',
                 has_scores: bool = False,
                 option: str = "bad_rows='skip'") -> None:
        self.table = table
        self.bad = BadRows(table.path, table.lines, bad_rows, option)
        self.videos = table[0]
        self.times = table.numbers(1)
        self.boxes = np.stack([table.numbers(k) for k in range(2, 6)], 1)
        self.labels = table.numbers(6)
        self.extra = table.numbers(7, np.nan if has_scores else _NO_PERSON)
        #: np.ndarray: Rows that hold more than a keyframe.
        self.boxed = np.any([table.filled(k) for k in range(2, 7)], 0)

    def good(self) -> tuple[np.ndarray, dict[str, int]]:
        """Which rows are good, and counts of the others."""
        good = self.bad.good()
        num = int((~good).sum())
        return good, {'bad rows': num} if num else {}

    def check_truth(self,
                    num_classes: Optional[int],
                    timestamp_range: tuple = (None, None)) -> None:
        """Notes rows that are no annotations."""
        self.check_widths((2, 7, 8), f'{_FORM}[,person_id], or '
                          'video,timestamp for a keyframe without a box')
        self.check_times(timestamp_range)
        self.check_boxes(TOLERANCE)
        inside = np.clip(self.boxes, 0, 1)
        self.bad.flag(
            self.boxed & ~(inside[:, 2:] > inside[:, :2]).all(1),
            'without area', lambda i: f'box {self.box(i)} has no area: x1 < '
            'x2 and y1 < y2 must hold')
        known = is_whole(self.labels) & (self.labels >= 1)
        if num_classes is not None:
            known &= self.labels < num_classes
        last = '' if num_classes is None else (
            f' to {num_classes - 1}, as num_classes={num_classes} says')
        self._flag_cells(~known, 6, 'class', f'is no class from 1{last}')
        self._flag_cells(~is_whole(self.extra), 7, 'person',
                         'is no whole number')

    def check_results(self) -> None:
        """Notes rows that are no detections."""
        self.check_widths((8, ), f'{_FORM},score')
        self.check_times()
        self.boxed[:] = True
        self.check_boxes(_FARTHEST - 1)
        self._flag_cells(~is_whole(self.labels), 6, 'class',
                         'is no whole number')
        self._flag_cells(~np.isfinite(self.extra), 7, 'score', 'is no number')

    def check_widths(self, widths: Collection[int], form: str) -> None:
        """Notes rows with another number of columns."""
        found = self.table.widths
        self.bad.flag(
            ~np.isin(found, list(widths)), 'columns', lambda i:
            f'{found[i]} columns, but rows must be {form}, without headings')

    def check_times(self, limits: tuple = (None, None)) -> None:
        """Notes rows without video, or with a time that is none."""
        table, times = self.table, self.times
        self.bad.flag(~table.filled(0), 'video',
                      lambda i: 'no name of a video')
        self.bad.flag(
            ~(is_whole(times) & (times >= 0)), 'timestamp', lambda i:
            f'timestamp {table[1][i]!r} is no whole number of at least 0')
        for limit, sign, name in zip(limits, (1, -1), ('start', 'end')):
            if limit is not None:
                self.bad.flag(
                    sign * np.nan_to_num(times) < sign * limit, 'timestamp',
                    lambda i, limit=limit, name=name: f'timestamp '
                    f'{table[1][i]} is outside timestamp_{name}={limit}')

    def check_boxes(self, tolerance: float, hint: str = 'divide pixels by '
                    'the size of the image') -> None:
        """Notes rows whose box is none, or leaves the image by more."""
        boxes = self.boxes
        self.bad.flag(self.boxed & ~np.isfinite(boxes).all(1), 'box',
                      lambda i: f'box {self.box(i)} is no four numbers')
        with np.errstate(invalid='ignore'):
            outside = (boxes < -tolerance) | (boxes > 1 + tolerance)
        self.bad.flag(
            self.boxed & outside.any(1), 'box', lambda i:
            f'box {self.box(i)} leaves the image by more than {tolerance:g}: '
            'x1,y1,x2,y2 are shares of its width and height, from 0 to 1; '
            f'{hint}')

    def box(self, row: int) -> str:
        """A box as it stands in the file."""
        return ','.join(self.table[k][row] for k in range(2, 6))

    def _flag_cells(self, bad: np.ndarray, column: int, kind: str,
                    limit: str) -> None:
        cells = self.table[column]
        name = 'action' if kind == 'class' else kind
        self.bad.flag(self.boxed & bad, kind,
                      lambda i: f'{name} {cells[i]!r} {limit}')


def write_rows(path: str, rows: Iterable[Iterable]) -> None:
    """Writes a table that :func:`read_table` gives back; folders are made.

    The first cell of a row is the name of a video. One that would not come
    back, as it has white space at its ends, is a ValueError.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    for row in rows:
        name, *_ = row = list(row)
        if not name or name != name.strip() or '\0' in name or '\r' in name:
            raise data_error(
                path, f'the video {name!r} has no name, or white space at its '
                'ends or carriage returns, which tables do not keep',
                'rename it')
        writer.writerow(row)
    put_text(text.getvalue(), path)
