# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import List

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmaction_memvit.annotations.proposals import pairwise_iou


class PersonTracker:
    """Gives persons the same number from clip to clip, by their overlap.

    Boxes of one clip and those before are matched so that their overlaps
    (IoU) sum up to most.

    Args:
        min_iou (float): Least overlap of one person's boxes. Defaults to
            0.3.
        max_missed (int): Clips for which a person may be out of sight.
            Defaults to 2.
    """

    def __init__(self, min_iou: float = 0.3, max_missed: int = 2) -> None:
        self.min_iou = min_iou
        self.max_missed = max_missed
        self._boxes = np.zeros((0, 4))
        self._persons: List[int] = []
        self._missed: List[int] = []
        self._num_persons = 0

    def __call__(self, boxes: np.ndarray) -> List[int]:
        """Numbers of the persons of the next clip.

        Args:
            boxes (np.ndarray): x1, y1, x2, y2, (N, 4), in any unit.

        Returns:
            list[int]: N numbers, from 1.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        overlaps = pairwise_iou(boxes, self._boxes)
        persons = [0] * len(boxes)
        seen = set()
        for new, old in zip(*linear_sum_assignment(-overlaps)):
            if overlaps[new, old] >= self.min_iou:
                persons[new] = self._persons[old]
                seen.add(old)
        for i, person in enumerate(persons):
            if not person:
                self._num_persons += 1
                persons[i] = self._num_persons
        lost = [i for i, missed in enumerate(self._missed) if i not in seen
                and missed < self.max_missed]
        self._missed = [0] * len(boxes) + [self._missed[i] + 1 for i in lost]
        self._persons = persons + [self._persons[i] for i in lost]
        self._boxes = np.concatenate((boxes, self._boxes[lost]))
        return persons
