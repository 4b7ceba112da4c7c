# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads a user's table of boxes, which tools turn into a set in AVA's form.

A CSV or TSV file with a header and one line a box: ``video``, ``time``
(seconds from the first frame) or ``frame``, ``x1,y1,x2,y2`` in pixels or
shares, ``label`` (several joined by ``;``) and, if wanted, ``person``,
``score``, ``split`` and a column of groups.
"""
from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from mmaction_memvit.annotations.table import (
    BadRows,
    Table,
    data_error,
    is_whole,
    read_table,
)

SPLITS = ('train', 'val')
BOX = ('x1', 'y1', 'x2', 'y2')


@dataclass
class Box:
    """A row of the table.

    ``time`` is in seconds or a frame's number from 0, ``box`` x1, y1, x2, y2,
    shares once it is placed; '' is an unknown person, split ('train', 'val')
    or group, whose rows stay on one side. ``file``, ``timestamp`` and ``ids``
    of labels are found later.
    """
    row: int
    video: str
    time: float
    box: list[float]
    labels: list[str]
    person: str = ''
    score: float = 1.
    split: str = ''
    group: str = ''
    file: str = ''
    timestamp: int = -1
    ids: list[int] = field(default_factory=list)


def read_box_table(
        path: str,
        frame_base: int = 0,
        group_column: Optional[str] = None,
        bad_rows: str = 'error') -> tuple[list[Box], str, BadRows]:
    """Reads the rows; the options are those of make_ava_style.py.

    Returns:
        tuple: The good rows; 'time' or 'frame', which column there is; and the
            bad ones, to which later checks add.
    """
    table = read_table(path).with_header((), '', exact=False)
    table.header = tuple(name.lower() for name in table.header)
    time = _check_columns(table, group_column)
    if not len(table):
        raise data_error(path, 'it holds no box below its header', 'add rows')
    bad = BadRows(table, bad_rows, '--bad-rows skip')
    times = table.numbers(time) - (frame_base if time == 'frame' else 0)
    boxes = np.stack([table.numbers(name) for name in BOX], 1)
    scores = table.numbers('score', 1.) if 'score' in table else np.ones(
        len(table))
    _check_rows(table, bad, time, times, frame_base)
    for name, values in zip(BOX, boxes.T):
        bad.flag(~np.isfinite(values), 'no number', lambda i, name=name:
                 f'{name}={table[name][i]!r} must be a number')
    with np.errstate(invalid='ignore'):
        empty = (boxes[:, 2:] <= boxes[:, :2]).any(1)
        score_is_good = (scores >= 0) & (scores <= 1)
    bad.flag(empty, 'empty box', lambda i: 'x1, y1, x2, y2 = '
             f'{", ".join(f"{x:g}" for x in boxes[i])}: x2 must be greater '
             'than x1 and y2 than y1; are these centre, width and height?')
    bad.flag(~score_is_good, 'score', lambda i:
             f'score={table["score"][i]} must be between 0 and 1')
    persons, splits, groups = (
        table[name] if name in table else [''] * len(table)
        for name in ('person', 'split', (group_column or '').strip().lower()))
    if 'split' in table:
        bad.flag(~np.isin([x.lower() for x in splits], SPLITS), 'split',
                 lambda i: f'split={splits[i]!r} must be one of '
                 f'{", ".join(SPLITS)}')
    rows = [
        Box(i, table['video'][i], float(times[i]), boxes[i].tolist(),
            [x.strip() for x in table['label'][i].split(';') if x.strip()],
            persons[i], float(scores[i]), splits[i].lower(), groups[i])
        for i in np.flatnonzero(~bad.bad).tolist()
    ]
    return rows, time, bad


def _check_columns(table: Table, group_column: Optional[str]) -> str:
    needed = ('video', *BOX, 'label')
    where, header = f'{table.path}:1', ','.join(table.header)
    absent = [name for name in needed if name not in table]
    if absent:
        raise data_error(
            where, f'no column {", ".join(absent)}; the header is {header!r}',
            f'name {",".join(needed)} and time or frame')
    times = [name for name in ('time', 'frame') if name in table]
    if len(times) != 1:
        raise data_error(
            where, f'it has {" and ".join(times) or "neither"} of the columns '
            'time (seconds) and frame (number)', 'keep one of them; rename or '
            'drop the other')
    if group_column:
        if group_column.strip().lower() not in table:
            raise data_error(where, f'--group-column {group_column} is no '
                             f'column of {header}', 'name one of them')
        if 'split' in table:
            raise data_error(
                where, f'it has a column split, so --group-column '
                f'{group_column} has no effect', 'drop one of them')
    return times[0]


def _check_rows(table: Table, bad: BadRows, time: str, times: np.ndarray,
                frame_base: int) -> None:
    bad.flag(table.widths > len(table.header), 'too many fields', lambda i:
             f'{table.widths[i]} fields, but the header names '
             f'{len(table.header)}; put quotes around fields that hold the '
             'delimiter')
    bad.flag(~table.filled('video'), 'no video',
             lambda i: "video='' must name a video")
    bad.flag(~np.isfinite(times), 'no number', lambda i:
             f'{time}={table[time][i]!r} must be a number')
    if time == 'frame':
        bad.flag(~is_whole(times), 'no whole frame', lambda i:
                 f'frame={table[time][i]} must be a whole number; name the '
                 'column time if it holds seconds')
    bad.flag(times < 0, 'before the start', lambda i:
             f'{time}={table[time][i]} lies before the first '
             + (f'frame, number {frame_base}; see --frame-base'
                if time == 'frame' else 'frame, at 0 s'))
