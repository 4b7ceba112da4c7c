# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Keyframes of AVA-style data with their boxes, actions and proposals."""
from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..annotations.ava import AVABoxes, read_ava_boxes
from ..annotations.class_names import choose_classes
from ..annotations.proposals import Proposals


def read_truth(ann_file: str, num_classes: int,
               custom_classes: Optional[Sequence[int]],
               label_file: Optional[str], limits: tuple,
               bad_rows: str) -> tuple[AVABoxes, Optional[tuple[str, ...]]]:
    """Reads boxes, and of a label map the names of classes 1, 2, ...

    Arguments are those of ``OnlineAVADataset``, and ``limits``, the least and
    greatest timestamp or None. It is a ValueError if the files and options do
    not fit each other.
    """
    chosen = choose_classes(num_classes, custom_classes, label_file)
    boxes = read_ava_boxes(ann_file, chosen.num_in_file, custom_classes,
                           limits, bad_rows=bad_rows)
    if label_file is None:
        return boxes, None
    if custom_classes is None:
        chosen.check(boxes.labels, ann_file, label_file)
    return boxes, tuple(
        chosen.names.get(i, f'class {i}') for i in chosen.ids[1:].tolist())


class Keyframes:
    """Keyframes of videos, and what is known of them.

    Each of K has the number of its ``video``, ascending, and a timestamp
    ``time``, ascending within a video; ``rows`` are keyframes of the ground
    truth ``boxes``, -1 for none.
    """

    def __init__(self, video: np.ndarray, time: np.ndarray, rows: np.ndarray,
                 boxes: AVABoxes, num_classes: int,
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
        return dict(gt_bboxes=table.boxes[first:last].copy(), gt_labels=labels,
                    entity_ids=table.persons[first:last].copy())

    def proposed(self, number: int) -> dict:
        """Copies of ``proposals`` and ``scores``, none for keyframe -1."""
        own = slice(*_span(self.proposals.first_box, number))
        return dict(proposals=self.proposals.boxes[own].copy(),
                    scores=self.proposals.scores[own].copy())

    def num_boxes(self) -> np.ndarray:
        """Annotated boxes of each keyframe, (K, )."""
        counts = np.append(np.diff(self.boxes.first_box), 0)
        return counts[self.rows]


def _span(starts: np.ndarray, i: int) -> tuple[int, int]:
    """Where entry i begins and where it ends; nothing for -1."""
    return (0, 0) if i < 0 else (int(starts[i]), int(starts[i + 1]))
