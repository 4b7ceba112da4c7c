# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Keyframes of AVA-style data with their boxes, actions and proposals."""
from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..annotations.ava import AVABoxes, read_ava_boxes
from ..annotations.label_map import read_label_map
from ..annotations.proposals import Proposals
from ..messages import log

# Greatest class where custom classes are chosen and nobody says which exist.
_ANY_CLASS = 2**15


def read_truth(ann_file: str, num_classes: int,
               custom_classes: Optional[Sequence[int]],
               label_file: Optional[str], limits: tuple,
               bad_rows: str) -> tuple[AVABoxes, Optional[tuple[str, ...]]]:
    """Reads boxes and the names of their classes.

    Args:
        ann_file (str): CSV file, see :func:`read_ava_boxes`.
        num_classes (int): One more than the greatest class of the result.
        custom_classes (Sequence[int], optional): Classes to keep, which
            become 1, 2, ...
        label_file (str, optional): Label map of the file's classes.
        limits (tuple): Least and greatest timestamp, or None.
        bad_rows (str): ``'error'`` or ``'skip'``.

    Returns:
        tuple[AVABoxes, tuple[str]]: The boxes, and the names of classes 1, 2,
        ..., if there is a label map.

    Raises:
        ValueError: If the files and options do not fit each other.
    """
    custom = None if custom_classes is None else list(custom_classes)
    if custom is not None:
        if len(set(custom)) < len(custom) or min(custom, default=0) < 1:
            raise ValueError(f'custom_classes={custom} must be different ids '
                             'from 1 on')
        if num_classes != len(custom) + 1:
            raise ValueError(
                f'num_classes={num_classes} must be {len(custom) + 1}, one '
                f'more than the {len(custom)} custom_classes')
    top = num_classes if custom is None else _ANY_CLASS
    names = classes = None
    if label_file is not None:
        names = read_label_map(label_file)
        _check_names(names, label_file, custom, num_classes)
        top = top if custom is None else max(names) + 1
        classes = tuple(names.get(i, f'class {i}')
                        for i in custom or range(1, num_classes))
    boxes = read_ava_boxes(ann_file, top, custom, limits, bad_rows=bad_rows)
    if names is not None and custom is None:
        strange = ~np.isin(boxes.labels, list(names))
        if len(strange) and strange.all():
            raise ValueError(
                f'no action of {ann_file!r} is a class of {label_file!r}. '
                'Remedy: give files that belong together')
        if strange.any():
            log(f'{int(strange.sum())} of {len(strange)} labels of '
                f'{ann_file} are of classes that {label_file} does not list; '
                'they are used all the same')
    return boxes, classes


def _check_names(names: dict[int, str], label_file: str,
                 custom: Optional[list[int]], num_classes: int) -> None:
    if custom is not None:
        unknown = sorted(set(custom) - set(names))
        if unknown:
            raise ValueError(f'custom_classes has {unknown}, which '
                             f'{label_file!r} does not list')
    elif max(names) >= num_classes:
        raise ValueError(
            f'{label_file!r} has classes up to {max(names)}, but num_classes='
            f'{num_classes} allows {num_classes - 1}. Remedy: set '
            f'num_classes={max(names) + 1}, in the model and the metric too')


class Keyframes:
    """Keyframes of videos, by video and time, and what is known of them.

    Args:
        video (np.ndarray): Number of the video of each, int (K, ), ascending.
        time (np.ndarray): Timestamps, int (K, ), ascending within a video.
        rows (np.ndarray): Keyframe of ``boxes``, int (K, ); -1 for none.
        boxes (AVABoxes): The ground truth.
        num_classes (int): One more than the greatest class.
        proposals (Proposals, optional): Boxes of these K keyframes. Defaults
            to None.
    """

    def __init__(self,
                 video: np.ndarray,
                 time: np.ndarray,
                 rows: np.ndarray,
                 boxes: AVABoxes,
                 num_classes: int,
                 proposals: Optional[Proposals] = None) -> None:
        self.video = video.astype(np.int32)
        self.time = time.astype(np.int64)
        self.rows = rows.astype(np.int32)
        self.boxes = boxes
        self.num_classes = num_classes
        self.proposals = proposals

    def __len__(self) -> int:
        """Number of keyframes K."""
        return len(self.time)

    def find(self, video: int, time: int) -> int:
        """Number of a keyframe, -1 if there is none."""
        start, end = np.searchsorted(self.video, (video, video + 1))
        i = start + int(np.searchsorted(self.time[start:end], time))
        return int(i) if i < end and self.time[i] == time else -1

    def truth(self, number: int) -> dict:
        """Copies of ``gt_bboxes``, ``gt_labels`` and ``entity_ids``.

        Keyframe -1 is a moment without any.
        """
        table = self.boxes
        first, last = _span(table.first_box,
                            -1 if number < 0 else int(self.rows[number]))
        labels = np.zeros((last - first, self.num_classes), np.float32)
        for i in range(first, last):
            own = slice(*_span(table.first_label, i))
            labels[i - first, table.labels[own]] = 1
        return dict(
            gt_bboxes=table.boxes[first:last].copy(),
            gt_labels=labels,
            entity_ids=table.persons[first:last].copy())

    def proposed(self, number: int) -> dict:
        """Copies of ``proposals`` and ``scores``, none for keyframe -1."""
        own = slice(*_span(self.proposals.first_box, number))
        return dict(
            proposals=self.proposals.boxes[own].copy(),
            scores=self.proposals.scores[own].copy())

    def num_boxes(self) -> np.ndarray:
        """Annotated boxes of each keyframe, (K, )."""
        counts = np.append(np.diff(self.boxes.first_box), 0)
        return counts[self.rows]


def _span(starts: np.ndarray, i: int) -> tuple[int, int]:
    """Where entry i begins and where it ends; nothing for -1."""
    return (0, 0) if i < 0 else (int(starts[i]), int(starts[i + 1]))
