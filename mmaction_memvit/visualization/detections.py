# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Boxes and actions of ground truth and predictions on an image."""
from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from mmaction.visualization import ActionVisualizer

TRUTH_COLOR = (90, 220, 90)
FOUND_COLOR = (255, 150, 40)
_LINE = 16
_FONT_SIZE = 8


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
                    score_thr: float = 0.3, title: str = '',
                    min_side: int = 480,
                    visualizer: ActionVisualizer | None = None) -> np.ndarray:
    """Draw boxes and actions.

    Ground truth is green, with its actions at the foot of the box; predictions
    are orange and dashed, with theirs at the head. Every predicted box is
    drawn, with the actions that reach the threshold, if any.

    Args:
        image (np.ndarray): RGB, uint8 of shape (H, W, 3).
        names (Mapping[int, str]): Names of classes by id.
        truth (tuple[np.ndarray, np.ndarray], optional): Boxes (N, 4), as
            shares of the image, and many-hot actions (N, C), whose column c is
            the class of id c.
        found (tuple[np.ndarray, np.ndarray], optional): Predicted boxes (P, 4)
            and scores (P, C), likewise.
        score_thr (float): Predicted actions with a score above it are written.
            Defaults to 0.3.
        title (str): Written above the image, in one or more lines.
        min_side (int): Images whose short side is smaller are enlarged, so
            that text can be read; in pixels. Defaults to 480.
        visualizer (ActionVisualizer, optional): What draws; one for many
            images saves time. Defaults to None: a new one.

    Returns:
        np.ndarray: RGB, uint8 of shape (H', W', 3), with the title's line.
    """
    scale = max(min_side / min(image.shape[:2]), 1.)
    height, width = (max(round(x * scale), 1) for x in image.shape[:2])
    if scale > 1:
        image = cv2.resize(image, (width, height))
    top = 8 + _LINE * (1 + title.count('\n'))
    canvas = np.zeros((height + top, width, 3), dtype=np.uint8)
    canvas[top:] = image

    visualizer = visualizer or ActionVisualizer()
    visualizer.set_image(canvas)
    # Predictions last: where boxes are the same, both can be seen.
    if truth is not None:
        boxes = _to_pixels(truth[0], height, width) + [0, top] * 2
        texts = label_boxes(truth[1], names, show_scores=False)
        _draw(visualizer, boxes, texts, TRUTH_COLOR, '-', True, width)
    if found is not None:
        boxes = _to_pixels(found[0], height, width) + [0, top] * 2
        texts = label_boxes(found[1], names, score_thr)
        _draw(visualizer, boxes, texts, FOUND_COLOR, '--', False, width)
    _write(visualizer, title, (4, top / 2), (255, 255, 255), 'center')
    return visualizer.get_image()


def _to_pixels(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes in pixels, inside of the image."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if boxes.size and not np.abs(boxes).max() <= 2:
        raise ValueError('boxes must be shares of the image, from 0 to 1, but '
                         f'go from {boxes.min()} to {boxes.max()}')
    pixels = boxes.clip(0, 1) * [width - 1, height - 1, width - 1, height - 1]
    pixels[:, 2:] = np.maximum(pixels[:, 2:], pixels[:, :2])
    return pixels


def _draw(visualizer: ActionVisualizer, boxes: np.ndarray,
          texts: list[list[str]], color: tuple[int, int, int], line: str,
          at_foot: bool, width: int) -> None:
    if not len(boxes):
        return
    visualizer.draw_bboxes(
        boxes, edge_colors=[color] * len(boxes), line_styles=line)
    for (x1, y1, x2, y2), lines in zip(boxes, texts):
        if not lines:
            continue
        # Towards the middle of the image, where there is room.
        on_right = x1 > 0.6 * width
        _write(visualizer, '\n'.join(lines),
               (x2 - 4 if on_right else x1 + 4, y2 - 4 if at_foot else y1 + 4),
               color, 'bottom' if at_foot else 'top',
               'right' if on_right else 'left')


def _write(visualizer: ActionVisualizer, text: str,
           position: tuple[float, float], color: tuple[int, int, int],
           vertical: str, horizontal: str = 'left') -> None:
    if text:
        visualizer.draw_texts(
            # A dollar sign would begin a formula.
            text.replace('$', r'\$'),
            np.array(position),
            font_sizes=_FONT_SIZE,
            colors=[color],
            vertical_alignments=vertical,
            horizontal_alignments=horizontal,
            bboxes=dict(facecolor='black', edgecolor='none', alpha=0.55,
                        pad=1))
