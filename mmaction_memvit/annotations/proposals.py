# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Person boxes found by a detector (*proposals*) in AVA's form.

A pickled dict maps ``'video,0902'`` to an array of shape (N, 5): box and
score; or (N, 4): no score. tools/data/ava/convert_person_boxes.py makes one
out of a CSV file.
"""
from collections.abc import Mapping
from typing import Any

import mmengine
import numpy as np
import pandas as pd

from ..messages import data_error, first_names, log, tool, warn
from .ava import TOLERANCE, BoxTable, Key, image_key, starts
from .table import read_pickle

CONVERT_BOXES = tool('data/ava/convert_person_boxes.py')
#: So many keyframes are looked at, spread over the file.
_MANY = 1000


def write_proposals(path: str, tables: Mapping[Key, np.ndarray]) -> None:
    """Writes boxes and scores (N, 5) by video and timestamp."""
    mmengine.dump({
        image_key(*key): np.asarray(table, np.float32)
        for key, table in sorted(tables.items())}, path, file_format='pkl')


def read_proposals(path: str,
                   otherwise: str = 'set proposal_file=None to look at the '
                   'ground-truth boxes only') -> dict[Key, Any]:
    """Loads a pickle file of person boxes, as they are in the file.

    No code in it is run; keys that are none or come twice are a ValueError.
    ``otherwise`` says what users without such a file can do.
    """
    remedy = f'make one by {CONVERT_BOXES} out of a CSV file of person boxes'
    found = read_pickle(path, f'{remedy}, or {otherwise}')
    if not isinstance(found, Mapping):
        raise data_error(path, f'it holds a {type(found).__name__}, not a '
                         "dict that maps 'video,0902' to boxes", remedy)
    keys = {}
    for name, boxes in found.items():
        video, comma, time = name.rpartition(',') if isinstance(
            name, str) else ('', '', '')
        if not (comma and video and time.strip().isdecimal()):
            raise data_error(path, f'the key {name!r} is not of the form '
                             "'video,0902'", remedy)
        keys[video, int(time)] = boxes
    if len(keys) < len(found):
        raise data_error(path, f'{len(found) - len(keys)} keyframes come '
                         "twice, such as 'video,0902' beside 'video,902'",
                         remedy)
    return keys


def pick_proposals(found: Mapping[Key, Any], keys: list[Key], path: str,
                   score_thr: float = 0.9, keep_best: bool = True,
                   max_num: int = 1000) -> BoxTable:
    """The person boxes of keyframes that are good enough.

    Columns are ``proposals``: x1, y1, x2, y2 as shares of the image, float32
    (P, 4), and ``scores``, float32 (P, ), ones where the file has none.

    Coordinates that leave the image by at most 0.001 are clipped; boxes
    without area, which detectors give at the border, are dropped. Both are
    counted in the log. Another shape, and boxes further outside, are errors.
    A keyframe that the file does not know has none.

    ``found`` is of :func:`read_proposals`, ``path`` for messages; boxes
    without score are good enough. See ``OnlineAVADataset`` for the options.
    """
    table, owner = _stack(found, keys, path)
    bad = ~np.isfinite(table).all(1) | (table[:, :4] < -TOLERANCE).any(1) | (
        table[:, :4] > 1 + TOLERANCE).any(1)
    if bad.any():
        i = int(bad.argmax())
        raise data_error(
            path, f'{int(bad.sum())} of {len(bad)} boxes leave the image, '
            f'such as {table[i, :4].tolist()} of '
            f'{image_key(*keys[owner[i]])!r}; x1, y1, x2, y2 must be shares '
            'of its width and height, from 0 to 1', 'divide pixels by the '
            f'size of the image, or make the file by {CONVERT_BOXES}')
    outside = ((table[:, :4] < 0) | (table[:, :4] > 1)).any(1)
    table[:, :4] = table[:, :4].clip(0, 1)
    flat = ~(table[:, 2:4] > table[:, :2]).all(1)
    for mask, what in ((outside, 'leave the image by rounding and are '
                        'clipped'), (flat, 'have no area and are dropped')):
        if mask.any():
            warn(f'{path}: {int(mask.sum())} of {len(mask)} proposals {what}')
    table, owner = table[~flat], owner[~flat]
    good = table[:, 4] >= np.float32(score_thr)
    if keep_best:
        scores = pd.Series(table[:, 4])
        good |= (scores >= scores.groupby(owner).transform('max')).to_numpy()
    table, owner = table[good], owner[good]
    keep = pd.Series(owner).groupby(owner).cumcount().to_numpy() < max_num
    table, owner = table[keep], owner[keep]
    return BoxTable(starts(owner, len(keys)), dict(
        proposals=table[:, :4].copy(), scores=table[:, 4].copy()))


def _stack(found: Mapping[Key, Any], keys: list[Key],
           path: str) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores of all keyframes, float32 (P, 5), and owners."""
    tables, owners = [np.zeros((0, 5))], []
    for k, key in enumerate(keys):
        boxes = found.get(key)
        if boxes is None or not len(boxes):
            continue
        boxes = np.asarray(boxes)
        if boxes.ndim != 2 or boxes.shape[1] not in (
                4, 5) or boxes.dtype.kind not in 'fiu':
            raise data_error(
                path, f'{image_key(*key)!r} holds an array of shape '
                f'{boxes.shape} and type {boxes.dtype}, but must hold numbers '
                'of shape (N, 5), x1, y1, x2, y2 and score, or (N, 4)',
                f'make it by {CONVERT_BOXES}')
        if boxes.shape[1] == 4:
            boxes = np.column_stack((boxes, np.ones(len(boxes))))
        tables.append(boxes)
        owners += [k] * len(boxes)
    return (np.concatenate(tables).astype(np.float32),
            np.asarray(owners, np.int64))


def count_matches(found: Mapping[Key, Any], keys: list[Key], path: str,
                  ann_file: str) -> int:
    """How many keyframes a file of proposals knows; warns if few.

    ``path`` and ``ann_file`` are for the messages; it is a ValueError if the
    file knows none.
    """
    num = sum(k in found for k in keys)
    if 2 * num >= len(keys):
        return num
    what = (f'it has boxes for {num} of {len(keys)} keyframes of '
            f'{ann_file!r}; its keys are '
            f'{first_names(image_key(*k) for k in found)}, and keyframes are '
            f'{first_names(image_key(*k) for k in keys)}')
    if not num:
        raise data_error(path, what, 'give the proposals of these videos, '
                         'with the same names and timestamps')
    warn(f'{path}: {what}. Is it the file of another set or version?')
    return num


def tell_left_out(found: Mapping[Key, Any], keys: list[Key], kept: BoxTable,
                  path: str, score_thr: float) -> None:
    """Says how many proposals of keyframes have too low a score.

    ``kept`` is what :func:`pick_proposals` made of the others; it is a warning
    if these are less than half.
    """
    tables = [found[k] for k in keys if found.get(k) is not None]
    total = sum(map(len, tables))
    # Boxes without score are good enough.
    scores = [np.asarray(x)[:, 4] for x in tables if np.shape(x)[1:] == (5, )]
    low, kept = (int((np.float32(x) < np.float32(score_thr)).sum()) for x in (
        np.concatenate([(), *scores]), kept.columns['scores']))
    if low > kept:
        (warn if 2 * (low - kept) > total else log)(
            f'{path}: {low - kept} of {total} proposals below '
            f'person_det_score_thr={score_thr:g} left out')


def describe_misfit(boxes: np.ndarray, first: np.ndarray, proposals: BoxTable,
                    path: str, ann_file: str) -> str:
    """What is told if hardly any labelled box is where a proposal is, or ''.

    Of a sample of keyframes, as many boxes are counted as could have a
    proposal of their own: where a detector saw few persons, that is no error.

    Args:
        boxes (np.ndarray): Labelled boxes, shares, (B, 4).
        first (np.ndarray): Start and end of those of each of the K keyframes,
            (K, 2).
        proposals (BoxTable): Of the same keyframes.
        path (str): File of the proposals, for the message.
        ann_file (str): File of the boxes.
    """
    both = np.flatnonzero((np.diff(first)[:, 0] > 0) & (proposals.counts > 0))
    both = both[::max(1, len(both) // _MANY)]
    num = met = possible = 0
    for k in both.tolist():
        own, others = boxes[slice(*first[k])], proposals.at(k)['proposals']
        num += len(own)
        possible += min(len(own), len(others))
        met += int((pairwise_iou(own, others) >= 0.5).any(1).sum())
    if possible >= 10 and met < 0.1 * possible:
        return (f'{met} of {num} labelled boxes overlap (IoU 0.5) a proposal: '
                f'are columns swapped in {ann_file!r} or {path!r}, or are '
                'they of other videos or times?')
    return ''


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) and (M, 4), (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    sizes = [(x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b)]
    union = sizes[0][:, None] + sizes[1] - shared
    return shared / np.maximum(union, 1e-12)
