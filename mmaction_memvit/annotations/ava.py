# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""AVA's annotations and results as arrays, read and written."""
from collections.abc import Collection
from typing import NamedTuple, Optional

import numpy as np
import pandas as pd

from ..messages import data_error, log
from .ava_rows import TOLERANCE, AVARows, Key, write_rows
from .table import read_table


class AVABoxes(NamedTuple):
    """Annotated boxes: K keyframes of V videos with B boxes and L labels.

    Keyframes are ordered by video, as videos first occur in the file, and then
    by timestamp. Boxes of a keyframe have the order of the file. Boxes with
    equal coordinates in a keyframe are one box with several labels.

    Attributes:
        videos (list[str]): Names of the videos.
        video (np.ndarray): Number of the keyframe's video, int32 (K,).
        timestamp (np.ndarray): int64 (K,).
        first_box (np.ndarray): Boxes of keyframe k are first_box[k] to
            first_box[k + 1] - 1; int64 (K + 1,).
        boxes (np.ndarray): x1, y1, x2, y2 as shares of the image, float32 (B,
            4).
        persons (np.ndarray): Number of the person or -1, int64 (B,).
        first_label (np.ndarray): As first_box; int64 (B + 1,).
        labels (np.ndarray): Ids of actions, or with ``custom_classes`` their
            1-based places in it; int16 (L,).
        skipped (dict[str, int]): Rows that were left out or changed, by
            reason.
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


class ActionBoxes(NamedTuple):
    """Boxes with one action each, R rows on K keyframes.

    A box with three actions has three rows.

    Attributes:
        keys (list[tuple[str, int]]): Video and timestamp of the keyframes,
            each once and in order. Some may have no row.
        images (np.ndarray): Number of the row's keyframe in ``keys``, int64
            of shape (R, ).
        boxes (np.ndarray): x1, y1, x2, y2 as shares of the image's width and
            height, of shape (R, 4).
        labels (np.ndarray): Ids of the actions, int64 of shape (R, ).
        scores (np.ndarray): Of shape (R, ); ones for a ground truth.
    """
    keys: list[Key]
    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def read_ava_boxes(
        path: str,
        num_classes: int = 81,
        custom_classes: Optional[Collection[int]] = None,
        timestamp_range: tuple[Optional[int], Optional[int]] = (None, None),
        bad_rows: str = 'error') -> AVABoxes:
    """Reads annotations for training: boxes with all their labels.

    Coordinates that leave the image by at most 0.001 are clipped and counted.

    Args:
        path (str): Path or URL of the file.
        num_classes (int): One more than the greatest class of the file, as
            column 0 of labels is not used. Defaults to 81.
        custom_classes (Collection[int], optional): Classes to keep; rows of
            others are left out and counted. Defaults to None: all.
        timestamp_range (tuple): Smallest and greatest timestamp, inclusive;
            None for no limit. Defaults to (None, None).
        bad_rows (str): ``'error'``, or ``'skip'`` to leave bad rows out with a
            warning that counts them. Defaults to ``'error'``.

    Raises:
        ValueError: If there is a bad row, unless they are skipped, or no good
            one.
    """
    rows = AVARows(read_table(path), bad_rows)
    rows.check_truth(num_classes, timestamp_range)
    keep, skipped = rows.good()
    outside = keep & (np.clip(rows.boxes, 0, 1) != rows.boxes).any(1)
    outside &= rows.boxed
    if outside.any():
        num = skipped['boxes clipped at the border of the image'] = int(
            outside.sum())
        log(f'{path}: {num} boxes leave the image by rounding (at most '
            f'{TOLERANCE}) and are clipped')
    labels = np.where(rows.boxed & keep, rows.labels, 0).astype(np.int64)
    if custom_classes is not None:
        chosen = np.zeros(int(max(*custom_classes, num_classes)) + 1, np.int64)
        chosen[list(custom_classes)] = np.arange(len(custom_classes)) + 1
        others = keep & rows.boxed & (chosen[labels] == 0)
        labels, keep = chosen[labels], keep & ~others
        if others.any():
            skipped['rows of classes that are not in custom_classes'] = int(
                others.sum())
    if not keep.any():
        raise data_error(path, f'none of {len(keep)} rows is left: {skipped}',
                         'correct the file, or the classes')
    return _merge(rows, np.flatnonzero(keep), labels, skipped)


def read_action_boxes(path: str,
                      has_scores: bool = False,
                      num_classes: Optional[int] = None,
                      bad_rows: str = 'error') -> ActionBoxes:
    """Reads a ground truth or the results of a model, to be measured.

    Args:
        path (str): Path or URL of the CSV file.
        has_scores (bool): Whether these are results, whose boxes and scores
            are float32, as a model gives them; those of a ground truth are
            float64. Defaults to False.
        num_classes (int, optional): One more than the greatest class of a
            ground truth. Defaults to None: not checked.
        bad_rows (str): As in :func:`read_ava_boxes`.

    Returns:
        ActionBoxes: The rows in the order of the file, unclipped.

    Raises:
        ValueError: If there is a bad row, unless they are skipped, or a ground
            truth has no good one.
    """
    rows = AVARows(read_table(path), bad_rows, has_scores)
    if has_scores:
        rows.check_results()
    else:
        rows.check_truth(num_classes)
    keep, skipped = rows.good()
    if not keep.any() and not has_scores:
        raise data_error(path, f'none of {len(keep)} rows is left: {skipped}',
                         'correct the file')
    kept = np.flatnonzero(keep)
    frames = pd.DataFrame({'video': np.asarray(rows.videos, object)[kept],
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


def _merge(rows: AVARows, keep: np.ndarray, labels: np.ndarray,
           skipped: dict[str, int]) -> AVABoxes:
    """Puts rows of one box together and sorts by keyframe."""
    video, names = pd.factorize(np.asarray(rows.videos, object)[keep])
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
    # Labels of a box follow each other, each once, in the file's order.
    pairs = pd.DataFrame({'box': place, 'label': labels[keep[boxed]]})
    fresh = ~pairs.duplicated().to_numpy()
    if not fresh.all():
        skipped = {**skipped, 'repeated rows': int((~fresh).sum())}
    pairs = pairs[fresh].sort_values('box', kind='stable')
    table = table.iloc[first]
    return AVABoxes(
        list(names), video[new].astype(np.int32), time[new],
        starts(table['keyframe'].to_numpy(), int(new.sum())),
        table[[0, 1, 2, 3]].to_numpy(np.float32),
        rows.extra[keep[boxed][first]].astype(np.int64),
        starts(pairs['box'].to_numpy(), len(first)),
        pairs['label'].to_numpy(np.int16), skipped)


def starts(owner: np.ndarray, num: int) -> np.ndarray:
    """Where each of ``num`` owners' entries begin in sorted ``owner``."""
    return np.searchsorted(owner, np.arange(num + 1)).astype(np.int64)


def read_exclusions(path: str) -> set[Key]:
    """Reads the keyframes that an evaluation leaves out.

    The CSV file has rows ``video,timestamp``; others are a ValueError.
    """
    rows = AVARows(read_table(path))
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
