# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A user's table of boxes, step by step to a set in AVA's form.

The steps of make_ava_style.py. Rows are a table of pandas with one entry a
row of the file, the bad ones too, which ``BadRows`` knows. ``time`` is in
seconds or a frame's number from 0, ``x1`` to ``y2`` shares once they are
placed; '' is an unknown person, split or group. ``file``, ``timestamp`` (-1
off keyframes) and ``ids`` of labels are found on the way.
"""
import random
from collections import Counter
from typing import Optional

import numpy as np
import pandas as pd
from concat_videos import split_groups

from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.annotations.table import (
    BadRows,
    Table,
    is_whole,
    read_lines,
    read_table,
)
from mmaction_memvit.messages import data_error, first_names
from mmaction_memvit.video.frames import Clock

SPLITS = ('train', 'val')
BOX = ['x1', 'y1', 'x2', 'y2']
# Of the digits behind the point of a share: a thousandth of a pixel.
DIGITS = 6


def read_box_table(
        path: str, frame_base: int = 0, group_column: Optional[str] = None,
        bad_rows: str = 'error') -> tuple[pd.DataFrame, str, BadRows]:
    """Reads the rows; the options are those of make_ava_style.py.

    The second result is 'time' or 'frame', which column there is.
    """
    table = read_table(path).with_header((), '', exact=False)
    table.header = tuple(name.lower() for name in table.header)
    time = _check_columns(table, group_column)
    if not len(table):
        raise data_error(path, 'it holds no box below its header', 'add rows')

    def column(name: str) -> list[str]:
        return table[name] if name in table else [''] * len(table)

    rows = pd.DataFrame({k: column(k) for k in ('video', 'label', 'person')})
    rows['split'] = [x.lower() for x in column('split')]
    rows['group'] = column((group_column or '').strip().lower())
    rows['labels'] = [[x.strip() for x in text.split(';') if x.strip()]
                      for text in rows['label']]
    rows['time'] = table.numbers(time) - (frame_base if time == 'frame' else 0)
    for name in BOX:
        rows[name] = table.numbers(name)
    rows['score'] = table.numbers('score', 1.) if 'score' in table else 1.
    bad = BadRows(table, bad_rows, '--bad-rows skip')
    _check_rows(table, bad, rows, time, frame_base)
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
            'time (seconds) and frame (number)', 'keep one of them')
    if group_column and group_column.strip().lower() not in table:
        raise data_error(where, f'--group-column {group_column} is no column '
                         f'of {header}', 'name one of them')
    if group_column and 'split' in table:
        raise data_error(where, f'--group-column {group_column} has no effect '
                         'beside a column split', 'drop one of them')
    return times[0]


def _check_rows(table: Table, bad: BadRows, rows: pd.DataFrame, time: str,
                frame_base: int) -> None:
    times = rows['time'].to_numpy()
    bad.flag(table.widths > len(table.header), 'too many fields', lambda i:
             f'{table.widths[i]} fields, but the header names '
             f'{len(table.header)}; put quotes around fields that hold the '
             'delimiter')
    bad.flag(~table.filled('video'), 'no video',
             lambda i: "video='' must name a video")
    for name, values in ((time, times), *((k, rows[k]) for k in BOX)):
        bad.flag(~np.isfinite(values), 'no number', lambda i, name=name:
                 f'{name}={table[name][i]!r} must be a number')
    if time == 'frame':
        bad.flag(~is_whole(times), 'no whole frame', lambda i:
                 f'frame={table[time][i]} must be a whole number; name the '
                 'column time if it holds seconds')
    bad.flag(times < 0, 'before the start', lambda i:
             f'{time}={table[time][i]} lies before the first '
             + (f'frame, number {frame_base}; see --frame-base'
                if time == 'frame' else 'frame, at 0 s'))
    boxes = rows[BOX].to_numpy()
    bad.flag(~(boxes[:, 2:] > boxes[:, :2]).all(1), 'empty box', lambda i:
             f'x1, y1, x2, y2 = {box_text(rows, i)}: x2 must be greater than '
             'x1 and y2 than y1; are these centre, width and height?')
    bad.flag(~rows['score'].between(0, 1), 'score', lambda i:
             f'score={table["score"][i]} must be between 0 and 1')
    if 'split' in table:
        bad.flag(~rows['split'].isin(SPLITS), 'split', lambda i:
                 f'split={table["split"][i]!r} must be one of '
                 f'{", ".join(SPLITS)}')


def box_text(rows: pd.DataFrame, row: int) -> str:
    """A box for messages."""
    return ', '.join(f'{x:g}' for x in rows.loc[row, BOX])


def decide_unit(rows: pd.DataFrame, bad: BadRows) -> str:
    """Tells pixels from shares, or raises an error where that is unclear."""
    tops = rows.loc[~bad.bad, BOX].max(axis=1)
    top, where = tops.max(), bad.table.where(tops.idxmax())
    if top <= 1:
        return 'share'
    if top <= 2:
        raise data_error(
            where, f'the largest is {top:g}: shares that reach over the edge, '
            'or pixels?', 'say so by --box-unit share or --box-unit pixel')
    small = tops[tops <= 1]
    if len(small):
        raise data_error(
            bad.table.where(small.index[0]), 'all coordinates of this box are '
            f'at most 1, but {where} has {top:g}: shares and pixels mixed up?',
            'correct the table, or say --box-unit')
    return 'pixel'


def place_boxes(args, rows: pd.DataFrame, time: str, index: dict,
                bad: BadRows) -> int:
    """Turns boxes into shares and finds the timestamps of those at keyframes.

    Returns how many boxes were cut at the edge.
    """
    entries = [index.get(file, {}) for file in rows['file']]
    size = np.array([[e.get('width', 1), e.get('height', 1)] * 2
                     for e in entries], float)
    num = np.array([e.get('num_frames', 0) for e in entries])
    frames = rows['time'].to_numpy().copy()
    if time == 'time':
        for file, own in rows[~bad.bad].groupby('file'):
            frames[own.index] = Clock(index[file]).nearest(
                own['time'].to_numpy())
    bad.flag(frames >= num, 'after the end', lambda i:
             f'{time}={bad.table[time][i]} lies after the last frame of '
             f'{rows.file[i]}, ' + (
                 f'{(num[i] - 1) / entries[i]["fps"]:.3f} s' if time == 'time'
                 else f'number {num[i] - 1 + args.frame_base}')
             + f' ({num[i]} frames, {entries[i]["fps"]:g} a second); was the '
             'table made from another version of the video?')
    boxes = rows[BOX].to_numpy() * (1 if args.box_unit == 'pixel' else size)
    over = np.maximum(-boxes, boxes - size).max(1)
    # Half a millionth of the frame is the rounding of the output.
    rounding = size.max(1) * 1e-6

    def describe(i: int) -> tuple[str, str]:
        return (f'x1, y1, x2, y2 = {box_text(given, i)} ({args.box_unit})',
                f'the {size[i, 0]:g}x{size[i, 1]:g} frame of {rows.file[i]}')

    given = rows[BOX].copy()
    bad.flag(over > args.max_overshoot + rounding, 'outside the frame',
             lambda i: '{0} reaches {2:.4g} pixels over the edge of {1}, at '
             'most {3:g} are allowed; see --box-unit, --max-overshoot'.format(
                 *describe(i), over[i], args.max_overshoot))
    rows[BOX] = (boxes / size).clip(0, 1).round(DIGITS)
    shares = rows[BOX].to_numpy()
    bad.flag(~(shares[:, 2:] > shares[:, :2]).all(1), 'empty box', lambda i:
             '{} leaves nothing inside {}; see --box-unit'.format(
                 *describe(i)))
    rows['timestamp'] = -1
    for file, own in rows[~bad.bad].groupby('file'):
        number = frames[own.index]
        for timestamp, frame in nearest_frames(
                number.astype(int), index[file], args.keyframe_rate,
                args.tolerance).items():
            rows.loc[own.index[number == frame], 'timestamp'] = timestamp
    return int((over > rounding)[~bad.bad].sum())


def nearest_frames(frames, entry: dict, rate: int,
                   tolerance: float) -> dict[int, int]:
    """The frame with boxes nearest to every keyframe, by timestamp.

    ``frames`` are those with boxes, ``entry`` is the video's in the index,
    ``rate`` keyframes a second; ``tolerance`` the largest distance in seconds.
    The frame that the keyframe falls on is always near enough.
    """
    best: dict[int, tuple[float, int]] = {}
    clock = Clock(entry)
    for frame in sorted(set(frames)):
        # Of no other keyframe the frame could be nearer.
        near = round(clock.seconds_at(frame) * rate)
        center = clock.nearest(near / rate)
        away = abs(frame - center)
        if (center < entry['num_frames']
                and away <= tolerance * entry['fps'] + 1e-6
                and (near not in best or away < best[near][0])):
            best[near] = (away, frame)
    return {near: best[near][1] for near in sorted(best)}


def set_labels(args, rows: pd.DataFrame, bad: BadRows) -> dict[int, str]:
    """Sets ``ids`` of the rows; returns the names by id."""
    used = {x for labels in rows.loc[~bad.bad, 'labels'] for x in labels}
    if not used:
        raise ValueError(
            f'{args.table} labels no box; the column label must hold names '
            'or ids, several joined by ";"')
    are_ids = all(map(is_int, used))
    names = names_of(args.label_map) if args.label_map else None
    if names is None and not are_ids:
        names = dict(enumerate(sorted(used), start=1))
    ids = {name: number for number, name in (names or {}).items()}
    for text in filter(is_int, used if are_ids else ()):
        number = int(text) + 1 - args.label_base
        if number >= 1 and (names is None or number in names):
            ids.setdefault(text, number)
    known = (f'the label map, which has {first_names(names)} and '
             f'{first_names(names.values())}' if names else
             'AVA form, which keeps 0 for the background; say --label-base 0 '
             'if ids count from 0')
    strange = [[x for x in labels if x not in ids]
               for labels in rows['labels']]
    bad.flag(np.array(list(map(bool, strange))), 'unknown label', lambda i:
             f'label={strange[i][0]} is not in {known}')
    rows['ids'] = [sorted({ids[x] for x in labels if x in ids})
                   for labels in rows['labels']]
    if names is None:
        names = {number: f'action {number}' for number in ids.values()}
    wrong = [x for x in names.values() if '"' in x or '\\' in x]
    if wrong:
        raise ValueError(f'label {wrong[0]!r} holds a quote or backslash, '
                         'which label maps cannot carry; rename it')
    return dict(sorted(names.items()))


def is_int(text: str) -> bool:
    """Whether a text is a number of ASCII digits."""
    return text.isascii() and text.isdigit()


def names_of(path: str) -> dict[int, str]:
    """Names by id, from a text file or a .pbtxt."""
    if path.endswith('.pbtxt'):
        found = read_label_map(path)
    else:
        names = [x.strip() for x in read_lines(path) if x.strip()]
        found = dict(enumerate(names, start=1))
    twice = [x for x, n in Counter(found.values()).items() if n > 1]
    if twice or not found:
        raise ValueError(f'--label-map {path} names ' + (
            f'{first_names(twice)} more than once' if twice else 'no action'))
    return found


def set_splits(args, rows: pd.DataFrame) -> None:
    """Sets ``split`` of the rows, so that no video stands on both sides."""
    if rows['split'].any():
        both = rows.groupby('file')['split'].nunique()
        if both.max() > 1:
            raise ValueError(
                f'{args.table}: rows of {first_names(both.index[both > 1])} '
                'are in train and in val; a video must be on one side')
        return
    groups = rows['file'].map(merge_groups(rows))
    pool = [{'source_group': group, 'label': label}
            for group, ids in zip(groups, rows['ids']) for label in ids or [0]]
    _, val = split_groups(pool, args.val_share, random.Random(args.seed))
    chosen = {x['source_group'] for x in val}
    if not chosen or len(chosen) == groups.nunique():
        raise ValueError(
            f'{rows.file.nunique()} video(s) in {groups.nunique()} group(s) '
            f'cannot be split with --val-share {args.val_share:g}; raise it, '
            'or give the table a column split with train and val')
    rows['split'] = np.where(groups.isin(chosen), 'val', 'train')


def merge_groups(rows: pd.DataFrame) -> dict[str, str]:
    """Names a group for every video; videos that share a group share it."""
    parent: dict[str, str] = {}

    def root(x: str) -> str:
        while parent.setdefault(x, x) != x:
            x = parent[x]
        return x

    for file, group in rows[['file', 'group']].drop_duplicates().to_numpy():
        if group:
            parent[root(f'video {file}')] = root(f'group {group}')
    return {file: root(f'video {file}') for file in rows['file'].unique()}
