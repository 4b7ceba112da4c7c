# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Persons of a stream: found by MMDetection, named from clip to clip."""
from typing import Callable, List, Mapping, Optional, Tuple, Union

import numpy as np
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from scipy.optimize import linear_sum_assignment

from mmaction_memvit.datasets.grid import KeyframeGrid
from mmaction_memvit.messages import first_names


class PersonDetector:
    """Boxes for sessions of action detectors, by any detector of MMDetection.

    Args:
        config (str | Config): Its config, a file or ``'mmdet::NAME.py'``.
        checkpoint (str, optional): Its weights. Defaults to None: as
            initialised.
        device (str): Defaults to 'cpu'.
        score_thr (float): Least score of a person. Defaults to 0.9, as in
            MMAction2.
        label (int): Number of the class of persons. Defaults to 0, as in
            COCO.

    Examples:
        >>> inferencer.session(boxes=PersonDetector(
        ...     'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', path))
    """

    def __init__(self,
                 config: Union[str, Config],
                 checkpoint: Optional[str] = None,
                 device: str = 'cpu',
                 score_thr: float = 0.9,
                 label: int = 0) -> None:
        from mmdet.apis import inference_detector, init_detector
        self._detect = inference_detector
        if isinstance(config, str) and '::' in config:
            config = get_config(config)
        # MMDetection's names, not ours, which come back afterwards.
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.model = init_detector(
                config, checkpoint, device=device, palette='coco')
        self.score_thr = score_thr
        self.label = label

    def __call__(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Boxes of the persons on a picture.

        Args:
            picture (np.ndarray): RGB, uint8 (H, W, 3).
            seconds (float): Not used.

        Returns:
            np.ndarray: float32 (N, 4), pixels.
        """
        with DefaultScope.overwrite_default_scope('mmdet'):
            # MMDetection takes pictures as OpenCV reads them.
            found = self._detect(
                self.model,
                np.ascontiguousarray(picture[..., ::-1])).pred_instances
        keep = (found.labels == self.label) & (
            found.scores >= self.score_thr)
        return found.bboxes[keep].float().cpu().numpy()


def boxes_in_table(table: Mapping[Tuple[str, int], np.ndarray], video: str,
                   grid: KeyframeGrid, fps: float) -> Callable:
    """Boxes for sessions of action detectors, of a table.

    Args:
        table (Mapping): From :func:`read_proposals`.
        video (str): Its name there.
        grid (KeyframeGrid): Of the keyframes.
        fps (float): Frames per second of the video.

    Returns:
        Callable: Gives pixels (N, 4) of a picture and its seconds.

    Raises:
        ValueError: If the table has no boxes of the video.
    """
    if not any(name == video for name, _ in table):
        raise ValueError(f'the table has no boxes of {video!r}; it has those '
                         f'of {first_names(sorted({x for x, _ in table}))}')
    rate = grid.per_second(fps)

    def boxes(picture: np.ndarray, seconds: float) -> np.ndarray:
        height, width = picture.shape[:2]
        shares = table.get((video, grid.start + round(seconds * rate)), ())
        if not len(shares):
            return np.zeros((0, 4), np.float32)
        return np.asarray(shares)[:, :4] * (width, height, width, height)

    return boxes


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
        lost = [
            i for i, missed in enumerate(self._missed)
            if i not in seen and missed < self.max_missed
        ]
        self._missed = [0] * len(boxes) + [self._missed[i] + 1 for i in lost]
        self._persons = persons + [self._persons[i] for i in lost]
        self._boxes = np.concatenate((boxes, self._boxes[lost]))
        return persons


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) and (M, 4), (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    sizes = [(x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b)]
    union = sizes[0][:, None] + sizes[1] - shared
    return shared / np.maximum(union, 1e-12)
