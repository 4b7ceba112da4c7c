# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What becomes of boxes in augmentation."""
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

# What belongs to the rows of the boxes.
_BELONGING = {
    'gt_bboxes': ('gt_labels', 'entity_ids'),
    'proposals': ('scores', 'orig_proposals'),
}


@TRANSFORMS.register_module()
class DropLostBoxes(BaseTransform):
    """Takes away the boxes that a random crop has left nothing of.

    MMAction2's crops clip boxes at the border, so that a box outside becomes
    a line there: features without meaning under the labels of a person who
    is not in the picture. For training; in testing, where each proposal is
    to have a result, it does not belong. A clip may be left without a box.

    Stands after the last crop, in or after ``PerVideoAugment``. Required are
    ``gt_bboxes`` (in pixels), to which ``gt_labels`` and ``entity_ids``
    belong; ``proposals``, where given, lose theirs.

    Args:
        min_size (float): Least width and height in pixels. Defaults to 1.
    """

    def __init__(self, min_size: float = 1.) -> None:
        self.min_size = min_size

    def transform(self, results: dict) -> dict:
        """Drops the boxes."""
        for key, others in _BELONGING.items():
            boxes = results.get(key)
            if boxes is None:
                continue
            sizes = boxes[:, 2:] - boxes[:, :2]
            # With min_size=0 lines go as well.
            seen = (sizes >= self.min_size).all(1) & (sizes > 0).all(1)
            if seen.all():
                continue
            for name in (key, *others):
                if results.get(name) is not None:
                    results[name] = np.asarray(results[name])[seen]
        return results
