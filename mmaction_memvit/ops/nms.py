# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Non-maximum suppression, for where MMCV's operator is not compiled."""
from functools import cache
from typing import Callable, Optional

import torch
from torch import Tensor

# Boxes that are settled among each other at a time.
BLOCK = 512


def _overlap(first: Tensor, second: Tensor, threshold: float,
             offset: int) -> Tensor:
    """Whether boxes (N, 4) and (M, 4) overlap by more than a share: (N, M)."""

    def area(boxes: Tensor) -> Tensor:
        return (boxes[:, 2:] - boxes[:, :2] + offset).prod(1)

    low = torch.maximum(first[:, None, :2], second[:, :2])
    high = torch.minimum(first[:, None, 2:], second[:, 2:])
    inter = (high - low + offset).clamp(min=0).prod(2)
    union = area(first)[:, None] + area(second) - inter
    # No division: two boxes without an area do not overlap.
    return inter > threshold * union


def nms_plain(boxes: Tensor, scores: Tensor, iou_threshold: float,
              offset: int = 0) -> Tensor:
    """Greedy suppression by PyTorch's own functions.

    Args:
        boxes (Tensor): (N, 4), x1, y1, x2, y2.
        scores (Tensor): (N,).
        iou_threshold (float): A box goes if a better one that stays overlaps
            it by more (intersection over union).
        offset (int): 1 if a box's last pixel is part of it, else 0. Defaults
            to 0.

    Returns:
        Tensor: Numbers of the boxes that stay, best first; among equal
        scores the earlier is better.
    """
    order = scores.sort(descending=True, stable=True)[1]
    boxes = boxes.float()[order] if boxes.dtype in (
        torch.float16, torch.bfloat16) else boxes[order]
    kept = torch.ones_like(order, dtype=torch.bool)
    for start in range(0, len(order), BLOCK):
        block = boxes[start:start + BLOCK]
        alive = kept[start:start + BLOCK]
        above = _overlap(block, block, iou_threshold, offset).triu(1)
        # What stays hangs on what stays before it. Each round settles at
        # least one more box, and most often a few rounds settle all.
        settled, before = alive, None
        while before is None or not torch.equal(settled, before):
            before = settled
            settled = alive & ~(above & before[:, None]).any(0)
        kept[start:start + BLOCK] = settled
        rest = boxes[start + BLOCK:]
        if len(rest):
            kept[start + BLOCK:] &= ~_overlap(block[settled], rest,
                                              iou_threshold, offset).any(0)
    return order[kept]


@cache
def _torchvision_nms(device_type: str) -> Optional[Callable]:
    """Torchvision's operator, if it loads and works on the device.

    PyPI's torchvision beside a torch for the CPU imports in part, and stops
    with "operator torchvision::nms does not exist".
    """
    try:
        from torchvision.ops import nms
        box = torch.zeros(1, 4, device=device_type)
        nms(box, box[:, 0], 0.5)
    except (ImportError, RuntimeError, AttributeError, NotImplementedError):
        return None
    return nms


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float,
        offset: int = 0) -> Tensor:
    """:func:`nms_plain`, or torchvision's operator where that works."""
    operator = _torchvision_nms(boxes.device.type)
    if operator is None:
        return nms_plain(boxes, scores, iou_threshold, offset)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return operator(boxes, scores.to(boxes.dtype), float(iou_threshold))
