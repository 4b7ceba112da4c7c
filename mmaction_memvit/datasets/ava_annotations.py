# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads annotations and person boxes in AVA's form.

Rows of the annotations are ``video,timestamp,x1,y1,x2,y2,action[,person]``;
boxes are shares of the image's width and height. A row that ends after the
timestamp, or whose other columns are empty, is a keyframe without a box, as in
the file lists of AVA's test set.

Person boxes found by a detector (*proposals*) are a pickled dict that maps
``'video,0902'`` to an array of shape (N, 5): box and score; or (N, 4): no
score. tools/data/ava/convert_person_boxes.py makes one out of a CSV file.
"""
import csv
import logging
import pickle
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.fileio import exists, get_text, load
from mmengine.logging import print_log

from mmaction_memvit.evaluation.functional.ava_csv import (
    Key,
    image_key,
    read_exclusions,
    read_label_map,
)

from ..video.index import first_names

__all__ = [
    'AVABoxes', 'Proposals', 'count_matches', 'image_key', 'pick_proposals',
    'read_ava_boxes', 'read_exclusions', 'read_label_map', 'read_proposals'
]

CONVERT_BOXES = 'tools/data/ava/convert_person_boxes.py'
_FORM = 'video,timestamp,x1,y1,x2,y2,action[,person]'
# By so much a box may exceed the image from rounding alone.
_TOLERANCE = 1e-3
_NO_PERSON = -1
# So many bad rows are described.
_MOST_TOLD = 3


class AVABoxes(NamedTuple):
    """Annotated boxes: K keyframes of V videos with B boxes and L labels.

    Keyframes are ordered by video, as videos first occur in the file, and
    then by timestamp. Boxes of a keyframe have the order of the file. Boxes
    with equal coordinates in a keyframe are one box with several labels.

    Attributes:
        videos (list[str]): Names of the videos.
        video (np.ndarray): Number of the keyframe's video, int32 of shape
            (K,).
        timestamp (np.ndarray): int64 of shape (K,).
        first_box (np.ndarray): Boxes of keyframe k are first_box[k] to
            first_box[k + 1] - 1; int64 of shape (K + 1,).
        boxes (np.ndarray): x1, y1, x2, y2 as shares of the image, float32 of
            shape (B, 4).
        persons (np.ndarray): Number of the person, -1 without one, int64 of
            shape (B,).
        first_label (np.ndarray): As first_box; int64 of shape (B + 1,).
        labels (np.ndarray): Ids of actions, or with ``custom_classes`` their
            1-based places in it; int16 of shape (L,).
        skipped (dict[str, int]): Number of rows that were left out or
            changed, by reason.
    """
    videos: list[str]
    video: np.ndarray
    timestamp: np.ndarray
    first_box: np.ndarray
    boxes: np.ndarray
    persons: np.ndarray
    first_label: np.ndarray
    labels: np.ndarray
    skipped: dict[str, int]

    @property
    def num_keyframes(self) -> int:
        """Number of keyframes K."""
        return len(self.timestamp)

    def keys(self) -> list[Key]:
        """Video and timestamp of each keyframe."""
        names = self.videos
        return [(names[v], t)
                for v, t in zip(self.video.tolist(), self.timestamp.tolist())]


def read_ava_boxes(
        path: str,
        num_classes: int = 81,
        custom_classes: Optional[Collection[int]] = None,
        timestamp_range: tuple[Optional[int], Optional[int]] = (None, None),
        bad_rows: str = 'error') -> AVABoxes:
    """Reads a CSV file of annotations.

    A row is bad if it has the wrong number of columns, no name of a video, a
    timestamp that is no whole number or out of range, a box that leaves the
    image or has no area, or a class out of range. Coordinates that leave the
    image by at most 0.001 are clipped and counted.

    Args:
        path (str): Path or URL of the file.
        num_classes (int): One more than the greatest class, as column 0 of
            labels is not used. With ``custom_classes``, of the file, not of
            the labels. Defaults to 81.
        custom_classes (Collection[int], optional): Classes to keep; rows of
            others are left out and counted. Defaults to None: all.
        timestamp_range (tuple): Smallest and greatest timestamp, inclusive;
            None for no limit. Defaults to (None, None).
        bad_rows (str): What to do with bad rows: ``'error'``, or ``'skip'``
            to leave them out with a warning that counts them. Defaults to
            ``'error'``.

    Returns:
        AVABoxes: Keyframes and boxes.

    Raises:
        ValueError: If there is a bad row, unless they are skipped, or no
            good one.
    """
    rows = _Rows(path)
    if not rows.rows:
        raise ValueError(f'{path!r} holds no row. Remedy: give a CSV file of '
                         f'{_FORM}')
    rows.check(num_classes, timestamp_range)
    keep, skipped = rows.good(bad_rows)
    clipped = rows.clip(keep)
    if clipped:
        skipped['boxes clipped at the border of the image'] = clipped
        print_log(
            f'{path}: {clipped} boxes leave the image by rounding (at most '
            f'{_TOLERANCE}) and are clipped',
            logger='current')
    if custom_classes is not None:
        chosen = np.zeros(int(max(*custom_classes, num_classes)) + 1, np.int64)
        chosen[list(custom_classes)] = np.arange(len(custom_classes)) + 1
        others = np.zeros(len(keep), dtype=bool)
        labelled = keep & ~rows.blank
        rows.label[labelled] = chosen[rows.label[labelled].astype(np.int64)]
        others[labelled] = rows.label[labelled] == 0
        keep &= ~others
        if others.any():
            skipped['rows of classes that are not in custom_classes'] = int(
                others.sum())
    if not keep.any():
        raise ValueError(f'none of the {len(keep)} rows of {path!r} is left: '
                         f'{skipped}')
    return rows.merge(np.flatnonzero(keep), skipped)


class _Rows:
    """The rows of a file, column by column, and what is wrong with them."""

    def __init__(self, path: str) -> None:
        self.path = path
        # Excel's CSV begins with a mark that is no part of the first name.
        lines = get_text(path).lstrip('\ufeff').splitlines()
        self.places = [i for i, x in enumerate(lines, 1) if x.strip()]
        self.rows = rows = [_unquoted(x) for x in lines if x.strip()]
        num = len(rows)
        self.problems: dict[int, str] = {}
        self.bad = np.zeros(num, dtype=bool)
        widths = np.fromiter((x.count(',') for x in rows), np.int64, num) + 1
        self.flag(
            ~np.isin(widths, (2, 7, 8)),
            lambda i: f'has {widths[i]} columns, but must have 7 or 8, '
            f'{_FORM}, or 2 for a keyframe without a box')
        # One flat list: a list for each row would keep the garbage collector
        # busy for ten times as long as the reading takes.
        flat = ','.join([
            x + ',' * (8 - w) if w in (2, 7, 8) else ',' * 7
            for x, w in zip(rows, widths.tolist())
        ]).split(',')
        columns = [list(map(str.strip, flat[k::8])) for k in range(8)
                   ] if num else [[]] * 8
        self.video_names = columns[0]
        self.timestamp = _numbers(columns[1])
        self.blank = np.ones(num, dtype=bool)
        for column in columns[2:7]:
            self.blank &= np.fromiter(map(len, column), np.int64, num) == 0
        self.boxes = np.stack([_numbers(c) for c in columns[2:6]], 1)
        self.label = _numbers(columns[6])
        self.person = _numbers(columns[7], empty=_NO_PERSON)

    def field(self, i: int, k: int) -> str:
        """What stands in column k of row i."""
        return self.rows[i].split(',')[k].strip()

    def flag(self, bad: np.ndarray, explain) -> None:
        """Notes rows as bad; ``explain`` tells why, by row."""
        for i in np.flatnonzero(bad & ~self.bad)[:_MOST_TOLD]:
            self.problems[int(i)] = explain(int(i))
        self.bad |= bad

    def check(self, num_classes: int, timestamp_range: tuple) -> None:
        named = np.fromiter(map(bool, self.video_names), bool, len(self.rows))
        self.flag(~named, lambda i: 'has no name of a video')
        time, label = self.timestamp, self.label
        with np.errstate(invalid='ignore'):
            whole = np.isfinite(time) & (time == np.rint(time)) & (time >= 0)
        self.flag(
            ~whole, lambda i: f'timestamp {self.field(i, 1)!r} is no whole '
            'number of at least 0 (timestamps count 1 / keyframe_rate '
            'seconds)')
        for limit, sign, side in zip(timestamp_range, (1, -1),
                                     ('before', 'after')):
            if limit is not None:
                self.flag(
                    sign * np.nan_to_num(time) < sign * limit,
                    lambda i, limit=limit, side=side: f'timestamp '
                    f'{self.field(i, 1)} is {side} timestamp_'
                    f'{"start" if side == "before" else "end"}={limit}')
        boxed = ~self.blank
        boxes = self.boxes
        finite = np.isfinite(boxes).all(1)
        self.flag(boxed & ~finite, lambda i: f'box {self._box(i)} is no four '
                  'numbers')
        with np.errstate(invalid='ignore'):
            outside = (boxes < -_TOLERANCE) | (boxes > 1 + _TOLERANCE)
        self.flag(
            boxed & outside.any(1), lambda i: f'box {self._box(i)} leaves the '
            'image: x1,y1,x2,y2 are shares of its width and height, from 0 to '
            '1' + (' (divide pixels by the size of the image)'
                   if boxes[i].max() > 2 else ''))
        inside = np.clip(boxes, 0, 1)
        flat = ~(inside[:, 2:] > inside[:, :2]).all(1)
        self.flag(
            boxed & flat, lambda i: f'box {self._box(i)} has no area: x1 < x2 '
            'and y1 < y2 must hold')
        with np.errstate(invalid='ignore'):
            known = (label == np.rint(label)) & (label >= 1) & (
                label < num_classes)
        self.flag(
            boxed & ~known, lambda i: f'action {self.field(i, 6)!r} is no '
            f'class from 1 to {num_classes - 1}, as num_classes={num_classes} '
            'says')
        with np.errstate(invalid='ignore'):
            known = self.person == np.rint(self.person)
        self.flag(
            boxed & ~known, lambda i: f'person {self.field(i, 7)!r} is no '
            'whole number')

    def _box(self, i: int) -> str:
        return ','.join(self.rows[i].split(',')[2:6])

    def good(self, policy: str) -> tuple[np.ndarray, dict[str, int]]:
        """Which rows are good; raises or warns about the others."""
        if not self.bad.any():
            return ~self.bad, {}
        total = int(self.bad.sum())
        told = '; '.join(f'line {self.places[i]}: {self.problems[i]}'
                         for i in sorted(self.problems)[:_MOST_TOLD])
        what = (f'{total} of {len(self.rows)} rows of {self.path!r} are bad: '
                f'{told}' + ('; ...' if total > _MOST_TOLD else ''))
        if policy == 'error':
            raise ValueError(f'{what}. Remedy: correct the file, or leave '
                             "such rows out by bad_rows='skip'")
        print_log(
            f'{what}. They are left out',
            logger='current',
            level=logging.WARNING)
        return ~self.bad, {'bad rows': total}

    def clip(self, keep: np.ndarray) -> int:
        """Clips boxes that leave the image by rounding; counts them."""
        keep = keep & ~self.blank
        boxes = self.boxes
        outside = keep & ((boxes < 0) | (boxes > 1)).any(1)
        self.boxes = np.clip(boxes, 0, 1)
        return int(outside.sum())

    def merge(self, keep: np.ndarray, skipped: dict[str, int]) -> AVABoxes:
        """Puts rows of one box together and sorts by keyframe."""
        number: dict[str, int] = {}
        video = np.fromiter(
            (number.setdefault(self.video_names[i], len(number))
             for i in keep.tolist()), np.int64, len(keep))
        time = self.timestamp[keep].astype(np.int64)
        # Stable: rows of a keyframe keep their order.
        order = np.lexsort((time, video))
        keep, video, time = keep[order], video[order], time[order]
        new = np.ones(len(keep), dtype=bool)
        new[1:] = (video[1:] != video[:-1]) | (time[1:] != time[:-1])
        keyframe = np.cumsum(new) - 1
        key_video, key_time = video[new].astype(np.int32), time[new]

        boxed = ~self.blank[keep]
        keyframe, rows = keyframe[boxed], keep[boxed]
        boxes = self.boxes[rows]
        first, place = _first_of_equal(keyframe, boxes)
        # Labels of a box follow each other, each once, in the file's order.
        labels = self.label[rows].astype(np.int64)
        order = np.lexsort((np.arange(len(rows)), place))
        pairs = place * (int(labels.max(initial=0)) + 1) + labels
        fresh = np.zeros(len(rows), dtype=bool)
        fresh[np.unique(pairs, return_index=True)[1]] = True
        if not fresh.all():
            skipped = {**skipped, 'repeated rows': int((~fresh).sum())}
        order = order[fresh[order]]
        return AVABoxes(
            list(number), key_video, key_time,
            _starts(keyframe[first], len(key_time)),
            boxes[first].astype(np.float32),
            self.person[rows[first]].astype(np.int64),
            _starts(place[order], len(first)),
            labels[order].astype(np.int16), skipped)


def _unquoted(line: str) -> str:
    """A line without quotes around its fields."""
    if '"' not in line:
        return line
    fields = next(csv.reader([line]))
    return line if any(',' in x for x in fields) else ','.join(fields)


def _numbers(column: list[str], empty: float = np.nan) -> np.ndarray:
    """The numbers of a column, NaN where there is none."""
    if not any(column):
        return np.full(len(column), empty)
    try:
        return np.fromiter(map(float, column), np.float64, len(column))
    except ValueError:
        pass
    values = np.full(len(column), np.nan)
    for i, text in enumerate(column):
        if not text:
            values[i] = empty
            continue
        try:
            values[i] = float(text)
        except ValueError:
            pass
    return values


def _first_of_equal(keyframe: np.ndarray,
                    boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups equal boxes of a keyframe.

    Returns:
        tuple: The first row of every group, in order, and the number of the
        group of every row.
    """
    num = len(keyframe)
    order = np.lexsort((*boxes.T, keyframe))
    new = np.ones(num, dtype=bool)
    new[1:] = (keyframe[order][1:] != keyframe[order][:-1]) | (
        boxes[order][1:] != boxes[order][:-1]).any(1)
    group = np.empty(num, dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    # Lexsort is stable, so a group begins with its first row.
    first = order[new]
    rank = np.empty(len(first), dtype=np.int64)
    by_row = np.argsort(first, kind='stable')
    rank[by_row] = np.arange(len(first))
    return first[by_row], rank[group]


def _starts(owner: np.ndarray, num: int) -> np.ndarray:
    """Where each of ``num`` owners' entries begin in sorted ``owner``."""
    return np.searchsorted(owner, np.arange(num + 1)).astype(np.int64)


class Proposals(NamedTuple):
    """Person boxes of K keyframes.

    Attributes:
        first_box (np.ndarray): Boxes of keyframe k are first_box[k] to
            first_box[k + 1] - 1; int64 of shape (K + 1,).
        boxes (np.ndarray): x1, y1, x2, y2 as shares of the image, float32 of
            shape (P, 4).
        scores (np.ndarray): Ones where the file has none; float32 of shape
            (P,).
    """
    first_box: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


def read_proposals(path: str) -> dict[Key, Any]:
    """Loads a pickle file of person boxes and checks its keys.

    Unpickling runs what the file says: take files from people you trust.

    Args:
        path (str): Path or URL of the file.

    Returns:
        dict[tuple[str, int], np.ndarray]: Boxes by video and timestamp, as
        they are in the file.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no such file.
    """
    remedy = (f'Remedy: make one by {CONVERT_BOXES} out of a CSV file of '
              'person boxes')
    # MMEngine cannot ask web servers whether a file is there.
    on_web = str(path).startswith(('http://', 'https://'))
    if not on_web and not exists(path):
        raise FileNotFoundError(
            f'proposal_file {path!r} does not exist. {remedy}, or '
            'proposal_file=None to look at the ground-truth boxes only')
    try:
        # Whatever its suffix is.
        found = load(path, file_format='pkl')
    except OSError as e:
        if not on_web:
            raise
        raise FileNotFoundError(
            f'proposal_file {path!r} cannot be fetched: {e}. Remedy: '
            'download it and name the file on the disk') from e
    except (pickle.UnpicklingError, UnicodeDecodeError, EOFError,
            AttributeError, ImportError, IndexError, TypeError,
            ValueError) as e:
        raise ValueError(f'proposal_file {path!r} cannot be unpickled '
                         f'({type(e).__name__}: {e}). {remedy}') from e
    if not isinstance(found, Mapping):
        raise ValueError(
            f'proposal_file {path!r} holds a {type(found).__name__}, not a '
            f"dict that maps 'video,0902' to boxes. {remedy}")
    keys = {}
    for name, boxes in found.items():
        video, comma, time = name.rpartition(',') if isinstance(
            name, str) else ('', '', '')
        if not (comma and video and time.strip().isdecimal()):
            raise ValueError(
                f'proposal_file {path!r} has the key {name!r}, which is not '
                f"of the form 'video,0902'. {remedy}")
        keys[video, int(time)] = boxes
    if len(keys) < len(found):
        raise ValueError(
            f'proposal_file {path!r} has {len(found) - len(keys)} keyframes '
            f"twice, such as 'video,0902' beside 'video,902'. {remedy}")
    return keys


def pick_proposals(found: Mapping[Key, Any],
                   keys: list[Key],
                   path: str,
                   score_thr: float = 0.9,
                   keep_best: bool = True,
                   max_num: int = 1000) -> Proposals:
    """The person boxes of keyframes that are good enough.

    Coordinates that leave the image by at most 0.001 are clipped; boxes
    without area, which detectors give at the border, are dropped. Both are
    counted in the log.

    Args:
        found (Mapping): Of :func:`read_proposals`.
        keys (list[tuple[str, int]]): The keyframes.
        path (str): The file, for messages.
        score_thr (float): Least score. Boxes without score are all good
            enough. Defaults to 0.9.
        keep_best (bool): Whether a keyframe with boxes keeps its best one
            if none reaches ``score_thr``. Defaults to True.
        max_num (int): Most boxes of a keyframe, the first in the file.
            Defaults to 1000.

    Returns:
        Proposals: Boxes of the keyframes, in their order; a keyframe that
        the file does not know has none.

    Raises:
        ValueError: If the boxes have another shape or leave the image.
    """
    tables, owners = [], []
    for k, key in enumerate(keys):
        boxes = found.get(key)
        if boxes is None or not len(boxes):
            continue
        boxes = np.asarray(boxes)
        if boxes.ndim != 2 or boxes.shape[1] not in (
                4, 5) or boxes.dtype.kind not in 'fiu':
            raise ValueError(
                f'proposal_file {path!r}: {image_key(*key)!r} holds an array '
                f'of shape {boxes.shape} and type {boxes.dtype}, but must '
                'hold numbers of shape (N, 5), x1, y1, x2, y2 and score, or '
                f'(N, 4). Remedy: make it by {CONVERT_BOXES}')
        if boxes.shape[1] == 4:
            boxes = np.column_stack((boxes, np.ones(len(boxes))))
        tables.append(boxes)
        owners.append(k)
    owner = np.repeat(np.asarray(owners, np.int64), [len(t) for t in tables])
    table = np.concatenate(tables) if tables else np.zeros((0, 5))
    table = table.astype(np.float32)
    bad = ~np.isfinite(table).all(1) | (table[:, :4] < -_TOLERANCE).any(1) | (
        table[:, :4] > 1 + _TOLERANCE).any(1)
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(
            f'proposal_file {path!r}: {int(bad.sum())} of {len(bad)} boxes '
            f'leave the image, such as {table[i, :4].tolist()} of '
            f'{image_key(*keys[owner[i]])!r}; x1, y1, x2, y2 must be shares '
            'of its width and height, from 0 to 1. Remedy: divide pixels by '
            f'the size of the image, or make the file by {CONVERT_BOXES}')
    outside = ((table[:, :4] < 0) | (table[:, :4] > 1)).any(1)
    table[:, :4] = table[:, :4].clip(0, 1)
    flat = ~(table[:, 2:4] > table[:, :2]).all(1)
    for mask, what in ((outside, 'leave the image by rounding and are '
                        'clipped'), (flat, 'have no area and are dropped')):
        if mask.any():
            print_log(
                f'{path}: {int(mask.sum())} of {len(mask)} proposals {what}',
                logger='current',
                level=logging.WARNING)
    table, owner = table[~flat], owner[~flat]
    good = table[:, 4] >= np.float32(score_thr)
    if keep_best and len(table):
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        best = np.maximum.reduceat(table[:, 4], first)
        good |= table[:, 4] >= np.repeat(
            best, np.diff(np.r_[first, len(owner)]))
    table, owner = table[good], owner[good]
    starts = _starts(owner, len(keys))
    keep = np.arange(len(owner)) - starts[owner] < max_num
    table, owner = table[keep], owner[keep]
    return Proposals(
        _starts(owner, len(keys)), np.ascontiguousarray(table[:, :4]),
        np.ascontiguousarray(table[:, 4]))


def count_matches(found: Mapping[Key, Any], keys: list[Key], path: str,
                  ann_file: str) -> int:
    """How many keyframes a file of proposals knows; warns if few.

    Args:
        found (Mapping): Of :func:`read_proposals`.
        keys (list[tuple[str, int]]): The keyframes.
        path (str): The proposal file, for messages.
        ann_file (str): The annotation file, for messages.

    Returns:
        int: Number of keyframes that the file knows.

    Raises:
        ValueError: If it knows none.
    """
    num = sum(k in found for k in keys)
    if 2 * num >= len(keys):
        return num
    what = (f'proposal_file {path!r} has boxes for {num} of {len(keys)} '
            f'keyframes of {ann_file!r}; it has the keys '
            f'{first_names(image_key(*k) for k in found)}, and keyframes are '
            f'{first_names(image_key(*k) for k in keys)}')
    if not num:
        raise ValueError(f'{what}. Remedy: give the proposals of these '
                         'videos, with the same names and timestamps')
    print_log(
        f'{what}. Is it the file of another set or version?',
        logger='current',
        level=logging.WARNING)
    return num
