# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Annotations and results in AVA's form, read and written.

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
from typing import NamedTuple, Optional, Union

import numpy as np
import pandas as pd
from mmengine.fileio import put_text

from ..messages import data_error, log
from .table import BadRows, Table, is_whole, read_table

#: A keyframe: name of the video and timestamp.
Key = tuple[str, int]

_FORM = 'video,timestamp,x1,y1,x2,y2,action_id'
#: By so much a box may exceed the image from rounding alone.
TOLERANCE = 1e-3
# Detectors overshoot; further than that, boxes are in pixels.
_FARTHEST = 2.
_NO_PERSON = -1


class BoxTable(NamedTuple):
    """Boxes of K keyframes, with what belongs to each.

    Those of keyframe k are entries ``first[k]`` to ``first[k + 1] - 1`` of all
    ``columns``; ``first`` is int64 (K + 1, ).
    """
    first: np.ndarray
    columns: dict[str, np.ndarray]

    def at(self, keyframe: int) -> dict[str, np.ndarray]:
        """Copies of the entries of a keyframe; none for -1."""
        own = slice(0) if keyframe < 0 else slice(
            *self.first[keyframe:keyframe + 2].tolist())
        return {name: x[own].copy() for name, x in self.columns.items()}

    @property
    def counts(self) -> np.ndarray:
        """Boxes of each keyframe, (K, )."""
        return np.diff(self.first)


class AVABoxes(NamedTuple):
    """Annotated boxes: K keyframes of V videos with B boxes.

    Keyframes, of which ``video`` (K, ) is the number in ``videos``, are
    ordered by video, as videos first occur in the file, and ``timestamp``
    (K, ). Columns of the ``table``, boxes in the file's order, are
    ``gt_bboxes``: x1, y1, x2, y2 as shares, float32 (B, 4); ``entity_ids``:
    numbers of persons or -1, int64 (B, ); and ``gt_labels``, eight actions a
    byte, see :meth:`unpack`: those of columns 0, 1, ..., which are ids, or
    with ``custom_classes`` their 1-based places in it. ``skipped`` counts rows
    that were left out or changed, by reason.
    """
    videos: list[str]
    video: np.ndarray
    timestamp: np.ndarray
    table: BoxTable
    num_classes: int
    skipped: dict[str, int]

    def keys(self) -> list[Key]:
        """Video and timestamp of each keyframe."""
        return [(self.videos[v], t) for v, t in zip(
            self.video.tolist(), self.timestamp.tolist())]

    def unpack(self, labels: np.ndarray) -> np.ndarray:
        """Zeros and ones by class, uint8 (N, num_classes), of N boxes."""
        return np.unpackbits(labels, axis=1, count=self.num_classes)

    @property
    def labels(self) -> np.ndarray:
        """np.ndarray: All labels of all boxes, int64."""
        return np.nonzero(self.unpack(self.table.columns['gt_labels']))[1]


class ActionBoxes(NamedTuple):
    """Boxes with one action each, R rows on K keyframes.

    ``keys`` are video and timestamp of the keyframes, each once and in order;
    some may have no row. ``images`` (R, ) are numbers of the rows' keyframes,
    ``boxes`` x1, y1, x2, y2 as shares, (R, 4), ``labels`` ids of the actions,
    int64 (R, ), ``scores`` (R, ), ones for a ground truth.
    """
    keys: list[Key]
    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def image_key(video: str, timestamp: int) -> str:
    """The name of a keyframe in AVA's files, e.g. ``'1j20qq1JyX4,0902'``."""
    return f'{video},{timestamp:04d}'


class AVARows:
    """The rows of a file or table by column, and which are bad.

    ``bad_rows`` is 'error' or 'skip', ``option`` how users ask for the latter;
    with ``has_scores`` the eighth column is a score, else a person.
    """

    def __init__(self, path: Union[str, Table], bad_rows: str = 'error',
                 has_scores: bool = False,
                 option: str = "bad_rows='skip'") -> None:
        self.table = table = (
            path if isinstance(path, Table) else read_table(path))
        self.bad = BadRows(table, bad_rows, option)
        self.videos = np.asarray(table[0], object)
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

    def check_truth(self, num_classes: Optional[int],
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
        last = '' if num_classes is None else (
            f' to {num_classes - 1}, as num_classes={num_classes} says')
        known = is_whole(self.labels) & (self.labels >= 1) & (
            self.labels < (num_classes or np.inf))
        self._flag(~known, 6, 'action', f'is no class from 1{last}')
        self._flag(~is_whole(self.extra), 7, 'person', 'is no whole number')

    def check_results(self) -> None:
        """Notes rows that are no detections."""
        self.check_widths((8, ), f'{_FORM},score')
        self.check_times()
        self.boxed[:] = True
        self.check_boxes(_FARTHEST - 1)
        self._flag(~is_whole(self.labels), 6, 'action', 'is no whole number')
        self._flag(~np.isfinite(self.extra), 7, 'score', 'is no number')

    def check_widths(self, widths: Collection[int], form: str) -> None:
        """Notes rows with another number of columns."""
        found = self.table.widths
        self.bad.flag(
            ~np.isin(found, list(widths)), 'columns', lambda i:
            f'{found[i]} columns, but rows must be {form}, without headings')

    def check_times(self, limits: tuple = (None, None)) -> None:
        """Notes rows without video, or with a time that is none."""
        cells, times = self.table[1], self.times
        self.bad.flag(~self.table.filled(0), 'video',
                      lambda i: 'no name of a video')
        self.bad.flag(
            ~(is_whole(times) & (times >= 0)), 'timestamp', lambda i:
            f'timestamp {cells[i]!r} is no whole number of at least 0')
        for limit, sign, name in zip(limits, (1, -1), ('start', 'end')):
            if limit is not None:
                self.bad.flag(
                    sign * times < sign * limit, 'timestamp',
                    lambda i, limit=limit, name=name: f'timestamp {cells[i]} '
                    f'is outside timestamp_{name}={limit}')

    def check_boxes(self, tolerance: float, hint: str = 'divide pixels by '
                    'the size of the image') -> None:
        """Notes rows whose box is none, or leaves the image by more."""
        boxes = self.boxes
        self.bad.flag(self.boxed & ~np.isfinite(boxes).all(1), 'box',
                      lambda i: f'box {self.box(i)} is no four numbers')
        outside = ((boxes < -tolerance) | (boxes > 1 + tolerance)).any(1)
        self.bad.flag(
            self.boxed & outside, 'box', lambda i:
            f'box {self.box(i)} leaves the image by more than {tolerance:g}: '
            'x1,y1,x2,y2 are shares of its width and height, from 0 to 1; '
            f'{hint}')

    def box(self, row: int) -> str:
        """A box as it stands in the file."""
        return ','.join(self.table[k][row] for k in range(2, 6))

    def _flag(self, bad: np.ndarray, column: int, name: str,
              limit: str) -> None:
        cells = self.table[column]
        self.bad.flag(self.boxed & bad, name,
                      lambda i: f'{name} {cells[i]!r} {limit}')


def read_ava_boxes(
        path: str, num_classes: int = 81,
        custom_classes: Optional[Collection[int]] = None,
        timestamp_range: tuple[Optional[int], Optional[int]] = (None, None),
        bad_rows: str = 'error') -> AVABoxes:
    """Reads annotations for training: boxes with all their labels.

    Coordinates that leave the image by at most 0.001 are clipped and counted.
    No good row is a ValueError.

    Args:
        path (str): Path or URL of the file.
        num_classes (int): One more than the greatest class of the file.
            Defaults to 81.
        custom_classes (Collection[int], optional): Classes to keep; rows of
            others are left out and counted. Defaults to None: all.
        timestamp_range (tuple): Least and greatest timestamp, inclusive; None
            for no limit. Defaults to (None, None).
        bad_rows (str): ``'error'``, or ``'skip'`` to leave bad rows out with a
            warning that counts them. Defaults to ``'error'``.
    """
    rows = AVARows(path, bad_rows)
    rows.check_truth(num_classes, timestamp_range)
    keep, skipped = rows.good()
    outside = keep & rows.boxed & (np.clip(rows.boxes, 0, 1) != rows.boxes
                                   ).any(1)
    if outside.any():
        skipped['boxes clipped at the border of the image'] = num = int(
            outside.sum())
        log(f'{path}: {num} boxes leave the image by at most {TOLERANCE} and '
            'are clipped')
    labels = np.where(rows.boxed & keep, rows.labels, 0).astype(np.int64)
    if custom_classes is not None:
        chosen = np.zeros(int(max(*custom_classes, num_classes)) + 1, np.int64)
        chosen[list(custom_classes)] = np.arange(len(custom_classes)) + 1
        others = keep & rows.boxed & (chosen[labels] == 0)
        labels, keep = chosen[labels], keep & ~others
        if others.any():
            skipped['rows of classes that are not in custom_classes'] = int(
                others.sum())
        num_classes = len(custom_classes) + 1
    _check_some(path, keep, skipped)
    return _merge(rows, np.flatnonzero(keep), labels, num_classes, skipped)


def read_action_boxes(path: str, has_scores: bool = False,
                      num_classes: Optional[int] = None,
                      bad_rows: str = 'error') -> ActionBoxes:
    """Reads a ground truth or the results of a model, to be measured.

    Rows come in the order of the file, unclipped. With ``has_scores`` these
    are results, perhaps none, whose boxes and scores are float32, as a model
    gives them; those of a ground truth are float64. Other arguments are those
    of :func:`read_ava_boxes`; ``num_classes=None`` checks none.
    """
    rows = AVARows(path, bad_rows, has_scores)
    if has_scores:
        rows.check_results()
    else:
        rows.check_truth(num_classes)
    keep, skipped = rows.good()
    if not has_scores:
        _check_some(path, keep, skipped)
    kept = np.flatnonzero(keep)
    frames = pd.DataFrame({'video': rows.videos[kept],
                           'time': rows.times[kept].astype(np.int64)})
    keys = sorted(set(frames.itertuples(False, None)))
    images = frames.groupby(['video', 'time']).ngroup().to_numpy(np.int64)
    boxed = rows.boxed[kept]
    images, kept = images[boxed], kept[boxed]
    kind = np.float32 if has_scores else np.float64
    return ActionBoxes(
        keys, images, rows.boxes[kept].astype(kind),
        rows.labels[kept].astype(np.int64),
        rows.extra[kept].astype(kind) if has_scores else np.ones(len(kept)))


def _check_some(path: str, keep: np.ndarray, skipped: dict) -> None:
    if not keep.any():
        raise data_error(path, f'none of {len(keep)} rows is left: {skipped}',
                         'correct the file, or the classes')


def _merge(rows: AVARows, keep: np.ndarray, labels: np.ndarray,
           num_classes: int, skipped: dict[str, int]) -> AVABoxes:
    """Puts rows of one box together and sorts by keyframe."""
    video, names = pd.factorize(rows.videos[keep])
    time = rows.times[keep].astype(np.int64)
    # Stable: rows of a keyframe keep their order.
    order = np.lexsort((time, video))
    keep, video, time = keep[order], video[order], time[order]
    new = np.ones(len(keep), dtype=bool)
    new[1:] = (video[1:] != video[:-1]) | (time[1:] != time[:-1])
    keyframe = np.cumsum(new) - 1

    boxed = rows.boxed[keep]
    table = pd.DataFrame(np.clip(rows.boxes[keep[boxed]], 0, 1))
    table['keyframe'] = keyframe[boxed]
    place = table.groupby(
        table.columns.tolist(), sort=False).ngroup().to_numpy()
    first = np.unique(place, return_index=True)[1]
    ones = np.zeros((len(first), num_classes), bool)
    ones[place, labels[keep[boxed]]] = True
    repeated = len(place) - int(ones.sum())
    if repeated:
        skipped = {**skipped, 'repeated rows': repeated}
    table = table.iloc[first]
    return AVABoxes(
        list(names), video[new].astype(np.int32), time[new],
        BoxTable(
            starts(table['keyframe'].to_numpy(), int(new.sum())),
            dict(gt_bboxes=table[[0, 1, 2, 3]].to_numpy(np.float32),
                 gt_labels=np.packbits(ones, axis=1),
                 entity_ids=rows.extra[keep[boxed][first]].astype(np.int64))),
        num_classes, skipped)


def starts(owner: np.ndarray, num: int) -> np.ndarray:
    """Where each of ``num`` owners' entries begin in sorted ``owner``."""
    return np.searchsorted(owner, np.arange(num + 1)).astype(np.int64)


def read_exclusions(path: str) -> set[Key]:
    """Reads keyframes that an evaluation leaves out, ``video,timestamp``."""
    rows = AVARows(path)
    rows.check_widths((2, ), 'video,timestamp')
    rows.check_times()
    rows.good()
    return set(zip(rows.videos, rows.times.astype(np.int64).tolist()))


def write_results_csv(path: str, found: ActionBoxes) -> None:
    """Writes results, in this order, for an evaluator of AVA.

    Numbers have as many digits as float32 needs, so that
    :func:`read_action_boxes` gives back the same ones. Folders are made.
    """
    names = [(video, f'{time:04d}') for video, time in found.keys]
    boxes = np.asarray(found.boxes, np.float32).reshape(-1, 4).astype(str)
    scores = np.asarray(found.scores, np.float32).astype(str)
    write_rows(path, ((*names[image], *box, label, score)
                      for image, box, label, score in zip(
                          found.images.tolist(), boxes.tolist(),
                          found.labels.tolist(), scores.tolist())))


def write_rows(path: str, rows: Iterable[tuple]) -> None:
    """Writes a table that :func:`read_table` gives back; folders are made.

    The first cell of a row is the name of a video. One that would not come
    back, as it has white space at its ends, is a ValueError.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    for row in rows:
        name = row[0]
        if not name or name != name.strip() or '\0' in name or '\r' in name:
            raise data_error(
                path, f'the video {name!r} has no name, or white space at its '
                'ends or carriage returns, which tables do not keep',
                'rename it')
        writer.writerow(row)
    put_text(text.getvalue(), path)
