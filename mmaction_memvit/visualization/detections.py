# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Boxes and actions of ground truth and predictions on an image."""
from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from .online import enlarged, write_lines

TRUTH_COLOR = (90, 220, 90)
FOUND_COLOR = (255, 150, 40)
# Pixels of the shorter side.
_SMALLEST = 480


def label_boxes(scores: np.ndarray, names: Mapping[int, str],
                score_thr: float = 0., show_scores: bool = True,
                max_labels: int = 6) -> list[list[str]]:
    """Lines with the actions of each of N boxes, the best one first.

    ``scores`` are of shape (N, C), column c of the class with id c in
    ``names``. Actions with a score above ``score_thr`` are written, at most
    ``max_labels``; one more line says how many are left out.
    """
    lines = []
    for row in np.asarray(scores):
        order = np.argsort(-row, kind='stable')
        ids = [i for i in order.tolist() if row[i] > score_thr]
        texts = [names.get(i) or f'class {i}' for i in ids[:max_labels]]
        if show_scores:
            texts = [f'{row[i]:.2f} {text}' for i, text in zip(ids, texts)]
        if len(ids) > max_labels:
            texts.append(f'and {len(ids) - max_labels} more')
        lines.append(texts)
    return lines


def draw_detections(image: np.ndarray, names: Mapping[int, str],
                    truth: tuple[np.ndarray, np.ndarray] | None = None,
                    found: tuple[np.ndarray, np.ndarray] | None = None,
                    score_thr: float = 0.3, title: str = '') -> np.ndarray:
    """Draw boxes and actions on a copy of an image.

    Ground truth is green and thick, predictions are orange. Every predicted
    box is drawn, with the actions that reach the threshold, if any.

    Args:
        image (np.ndarray): RGB, uint8 of shape (H, W, 3); small ones are
            enlarged a whole number of times, until the writing has room.
        names (Mapping[int, str]): Names of classes by id.
        truth (tuple[np.ndarray, np.ndarray], optional): Boxes (N, 4), as
            shares of the image, and many-hot actions (N, C), whose column c is
            the class of id c.
        found (tuple[np.ndarray, np.ndarray], optional): Predicted boxes (P, 4)
            and scores (P, C), likewise.
        score_thr (float): Predicted actions with a score above it are written.
            Defaults to 0.3.
        title (str): Written in the corner, in one or more lines.
    """
    image = enlarged(image, _SMALLEST)
    size = min(image.shape[:2]) / 1000
    blocks = [(None, title.splitlines(), (255, 255, 255))]
    # Predictions last: where boxes are the same, both can be seen.
    for given, threshold, color, line in ((truth, 0., TRUTH_COLOR, 5),
                                          (found, score_thr, FOUND_COLOR, 2)):
        boxes, scores = given or ((), ())
        texts = label_boxes(scores, names, threshold, given is found)
        for box, lines in zip(_to_pixels(boxes, *image.shape[:2]), texts):
            cv2.rectangle(image, box[:2], box[2:], color, line)
            blocks.append((box, lines, color))
    taken: list[tuple] = []
    for box, lines, color in blocks:
        if lines:
            write_lines(image, lines, box, color, size, taken)
    return image


def _to_pixels(boxes: np.ndarray, height: int, width: int) -> list[tuple]:
    """Boxes in pixels, inside of the image."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if boxes.size and not np.abs(boxes).max() <= 2:
        raise ValueError('boxes must be shares of the image, from 0 to 1, but '
                         f'go from {boxes.min()} to {boxes.max()}')
    pixels = boxes.clip(0, 1) * [width - 1, height - 1, width - 1, height - 1]
    return [tuple(x) for x in pixels.round().astype(int).tolist()]
