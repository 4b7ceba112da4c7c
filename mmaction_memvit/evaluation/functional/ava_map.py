# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Mean average precision over keyframes as AVA defines it.

A detection is right if its box overlaps a ground-truth box of the same
action on the same keyframe by an IoU of at least 0.5 and no detection of a
higher score has found that box. A class's average precision is the area under
its curve of precision over recall, after precision has been made not to
decrease with falling recall.

Evaluators differ in what else they count. Two conventions are offered:

========================================  ===========  ==========
question                                  official     mmaction2
========================================  ===========  ==========
detections on keyframes without           wrong        not
ground truth are                                       counted
a class with ground truth and without     as 0         not
any detection counts in the mean
ground truth on excluded timestamps is    not counted  missed
detections without area are               not counted  wrong
boxes and scores are rounded to           no           4 decimals
numbers are                               float64      float32
========================================  ===========  ==========

'official' is the evaluator of the AVA challenge, which the reference
implementation of MeMViT uses, too. 'mmaction2' is what MMAction2's AVAMetric
reports; it tends to be higher. Detections on excluded timestamps and classes
outside the label map count in neither.

Detections of equal score rank by video, timestamp and their order on the
keyframe, whatever the order in which they arrive.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...annotations.ava import ActionBoxes, Key, image_key
from ...messages import check_choice, format_share, text_table

AVA_CONVENTIONS = ('mmaction2', 'official')

# Ids of AVA's classes by group, and two names by which AVA's list is known.
_GROUPS = {'person_movement': range(1, 15),
           'object_manipulation': range(15, 64),
           'person_interaction': range(64, 81)}
_AVA_NAMES = {12: 'stand', 80: 'watch (a person)'}


class ClassAP(NamedTuple):
    """Average precision ``ap`` of C classes, (C, ), from 0 to 1.

    It is NaN where the convention leaves the class out of the mean.
    ``num_truth`` ground-truth boxes and ``num_found`` detections count.
    """
    ap: np.ndarray
    num_truth: np.ndarray
    num_found: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over the classes that count, 0 if none does."""
        return _mean(self.ap)


class AVAReport(NamedTuple):
    """Frame mAP of classes (C, ), by convention; ``names`` are by id."""
    class_ids: np.ndarray
    names: dict[int, str]
    results: dict[str, ClassAP]

    def metrics(self, convention: str) -> dict[str, float]:
        """The means by name; ``overall`` and groups are of ``convention``."""
        scores = {'overall': self.results[convention].mean}
        for name, result in self.results.items():
            scores[f'overall_{name}'] = result.mean
        if all(self.names.get(i) == name for i, name in _AVA_NAMES.items()):
            for group, ids in _GROUPS.items():
                own = np.isin(self.class_ids, ids)
                ap = self.results[convention].ap[own]
                if not np.isnan(ap).all():
                    scores[group] = _mean(ap)
        return scores

    def table(self) -> str:
        """A line of text for every class, sorted by id, and the means."""
        official = self.results['official']
        heads = ['id', 'class', 'boxes', 'detections',
                 *(f'AP {name}' for name in self.results)]
        results = self.results.values()
        rows = [(class_id, self.names.get(class_id, ''),
                 official.num_truth[i], official.num_found[i],
                 *(format_share(x.ap[i]) for x in results))
                for i, class_id in enumerate(self.class_ids.tolist())]
        mean = ('', 'mean', official.num_truth.sum(), official.num_found.sum(),
                *(format_share(x.mean) for x in results))
        return text_table([heads, *rows, mean], left=(1, ))


def evaluate_ava(
        truth: ActionBoxes, found: ActionBoxes, names: Mapping[int, str],
        class_ids: Sequence[int] | None = None, excluded: Collection[Key] = (),
        iou_thr: float = 0.5) -> AVAReport:
    """Compute the frame mAP in every convention.

    Args:
        truth (ActionBoxes): The ground truth.
        found (ActionBoxes): The detections.
        names (Mapping[int, str]): Names of classes by id.
        class_ids (Sequence[int], optional): Classes to evaluate. Defaults to
            None: all of ``names``.
        excluded (Collection[tuple[str, int]]): Keyframes that do not count.
            Defaults to ().
        iou_thr (float): Overlap from which on a box is found. Defaults to 0.5.
    """
    ids = sorted(names if class_ids is None else class_ids)
    return AVAReport(
        np.array(ids, dtype=np.int64), dict(names), {
            name: frame_ap(truth, found, ids, excluded, name, iou_thr)
            for name in AVA_CONVENTIONS})


def frame_ap(truth: ActionBoxes, found: ActionBoxes, class_ids: Sequence[int],
             excluded: Collection[Key] = (), convention: str = 'mmaction2',
             iou_thr: float = 0.5) -> ClassAP:
    """Compute the average precision of each class over all keyframes.

    Arguments are those of :func:`evaluate_ava`, and one of the conventions;
    rows of classes that are not in ``class_ids`` are passed over.
    """
    check_choice('convention', convention, AVA_CONVENTIONS)
    if not 0 < iou_thr <= 1:
        raise ValueError(f'iou_thr={iou_thr} must be above 0, at most 1')
    official = convention == 'official'
    class_ids = np.asarray(class_ids, dtype=np.int64)
    keys = sorted({*truth.keys, *found.keys})
    allowed = np.array([key not in excluded for key in keys], dtype=bool)
    number = {key: i for i, key in enumerate(keys)}
    truth = _prepare(truth, number, class_ids)
    found = _prepare(found, number, class_ids)

    num_truth = np.bincount(truth.labels, minlength=len(class_ids))
    truth = _take(truth, allowed[truth.images])
    kept = allowed[found.images]
    if official:
        num_truth = np.bincount(truth.labels, minlength=len(class_ids))
        kept &= (found.boxes[:, :2] < found.boxes[:, 2:]).all(1)
    else:
        has_truth = np.zeros(len(keys), dtype=bool)
        has_truth[truth.images] = True
        kept &= has_truth[found.images]
    found = _take(found, kept)

    kind = np.float64 if official else np.float32
    boxes = found.boxes.astype(np.float64)
    scores = found.scores.astype(np.float64)
    if not official:
        # In float64 this is what printing and reading a float32 gives.
        boxes, scores = boxes.round(4), scores.round(4)
    scores = scores.astype(kind)
    found = found._replace(boxes=boxes.astype(kind), scores=scores)
    truth = truth._replace(boxes=truth.boxes.astype(kind))
    right = _match(truth, found, len(keys), iou_thr)

    num_found = np.bincount(found.labels, minlength=len(class_ids))
    ends = np.cumsum(num_found)
    ap = np.full(len(class_ids), np.nan)
    for i, (end, num) in enumerate(zip(ends, num_found)):
        if num_truth[i] and (num or official):
            order = np.argsort(-scores[end - num:end], kind='stable')
            ap[i] = _average_precision(right[end - num:end][order],
                                       num_truth[i])
    return ClassAP(ap, num_truth, num_found)


def find_problems(truth: ActionBoxes, found: ActionBoxes,
                  excluded: Collection[Key]) -> list[str]:
    """Look for what makes an mAP mean less than it says, a sentence each.

    Keyframes of results (``found.keys`` holds every one that was scored) and
    ground truth are compared, and boxes of the ground truth with one another.
    It is a ValueError if no scored keyframe has ground truth.
    """
    wanted = {truth.keys[i] for i in np.unique(truth.images).tolist()}
    wanted.difference_update(excluded)
    scored = set(found.keys)
    if scored and not scored & wanted:
        raise ValueError(
            f'None of the {len(scored)} scored keyframes is among the '
            f'{len(wanted)} with ground truth. Results are for keyframes '
            f"like '{image_key(*min(scored))}', the ground truth for " +
            (f"'{image_key(*min(wanted))}'" if wanted else 'none') +
            '. Give the annotation file of the data that was scored; names '
            'of videos and the unit of timestamps must be the same.')
    messages = []
    missing = sorted(wanted - scored)
    if missing:
        messages.append(
            f'{len(missing)} of {len(wanted)} keyframes with ground truth '
            f"have no result, e.g. '{image_key(*missing[0])}'; their boxes "
            'count as missed.')
    videos = {video for video, _ in truth.keys}
    unknown = sorted(key for key in scored if key[0] not in videos)
    if unknown:
        messages.append(
            f'{len(unknown)} scored keyframes are of '
            f'{len({video for video, _ in unknown})} videos that the ground '
            f'truth does not name, e.g. {unknown[0][0]!r}; officially all '
            'detections there are wrong, and MMAction2 passes them over.')
    rows = np.column_stack([truth.images, truth.labels, truth.boxes])
    repeated = len(rows) - len(np.unique(rows, axis=0))
    if repeated:
        messages.append(
            f'{repeated} of {len(rows)} rows of the ground truth repeat class '
            'and box of another row; they are never found and count as '
            'missed.')
    return messages


def _mean(ap: np.ndarray) -> float:
    return float(np.nanmean(ap)) if not np.isnan(ap).all() else 0.0


def _take(rows: ActionBoxes, which: np.ndarray) -> ActionBoxes:
    return ActionBoxes(rows.keys, *(column[which] for column in rows[1:]))


def _prepare(rows: ActionBoxes, number: Mapping[Key, int],
             class_ids: np.ndarray) -> ActionBoxes:
    """Number keyframes and classes alike, and sort by class and keyframe."""
    images = np.array([number[key] for key in rows.keys], dtype=np.int64)
    labels = np.full(max([0, *class_ids]) + 1, -1, dtype=np.int64)
    labels[class_ids] = np.arange(len(class_ids))
    inside = (rows.labels >= 0) & (rows.labels < len(labels))
    rows = _take(rows, inside & (labels[rows.labels * inside] >= 0))
    rows = rows._replace(
        images=images[rows.images], labels=labels[rows.labels])
    return _take(rows, np.lexsort((rows.images, rows.labels)))


def _match(truth: ActionBoxes, found: ActionBoxes, num_images: int,
           iou_thr: float) -> np.ndarray:
    """Say which detections are right, as a bool of shape (R, ).

    Both tables are sorted by class and keyframe.
    """
    right = np.zeros(len(found.labels), dtype=bool)
    cells, starts, counts = np.unique(truth.labels * num_images + truth.images,
                                      return_index=True, return_counts=True)
    found_cells = found.labels * num_images + found.images
    first = np.searchsorted(found_cells, cells, 'left')
    num = np.searchsorted(found_cells, cells, 'right') - first
    # Detections that have something to compare with, and then each of them
    # once for every ground-truth box there.
    det = _ranges(first, num)
    if not len(det):
        return right
    num_boxes = np.repeat(counts, num)
    gt = _ranges(np.repeat(starts, num), num_boxes)
    iou = _iou(found.boxes[np.repeat(det, num_boxes)], truth.boxes[gt])

    # Each detection is for the box that it overlaps most.
    offsets = np.cumsum(num_boxes) - num_boxes
    best = np.maximum.reduceat(iou, offsets)
    at_best = np.flatnonzero(iou == np.repeat(best, num_boxes))
    gt = gt[at_best[np.searchsorted(at_best, offsets)]]
    hit = best >= iou_thr
    det, gt = det[hit], gt[hit]

    # Of the detections for one box the one of the highest score is right.
    order = np.lexsort((det, -found.scores[det], gt))
    _, first = np.unique(gt[order], return_index=True)
    right[det[order[first]]] = True
    return right


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """All of start, start + 1, ... start + count - 1, one after another."""
    offsets = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - offsets, counts)


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes in pairs, 0 for boxes without area.

    Differences are taken in the dtype of the boxes and only then made
    float64, as MMAction2 does it.
    """
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, 2:], others[:, 2:])
    sides = np.maximum(high - low, 0).astype(np.float64)
    intersection = sides[:, 0] * sides[:, 1]
    areas = [(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1])
             for x in (boxes, others)]
    union = (areas[0] + areas[1]).astype(np.float64) - intersection
    return np.divide(
        intersection, union, out=np.zeros_like(union), where=union > 0)


def _average_precision(right: np.ndarray, num_truth: int) -> float:
    """Area under precision over recall, of detections by falling score."""
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(precision[right].sum() / num_truth)
