# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What all detectors of this project do with boxes."""
from typing import List, Optional, Sequence, Tuple

import torch
from mmaction.utils import SampleList
from torch import Tensor, nn

from mmaction_memvit.memory.state import Memory, tree_map


def score_boxes(
    roi_head: nn.Module,
    feats: object,
    boxes: Sequence[Tensor],
    memory: Memory = None,
    elapsed: Optional[Tensor] = None
) -> Tuple[Tensor, Memory]:
    """Score the boxes of clips, with or without autocast.

    The head is a small part of the work: it runs in its own dtype, so that
    RoIAlign and scores are exact under autocast too.

    Args:
        roi_head (nn.Module): With ``score_boxes``, as MeMViTRoIHead's.
        feats (Tensor | Sequence): Features of clips.
        boxes (Sequence[Tensor]): (N_b, 4) pixels for each clip.
        memory (optional): The head's, of the clips before. Defaults to None.
        elapsed (Tensor, optional): (B, ) seconds since them.

    Returns:
        tuple: Logits (sum of N_b, num_classes - 1), and the next memory.
    """
    param = next(roi_head.parameters())
    feats = tree_map(lambda x: x.to(param.dtype), feats)
    with torch.autocast(param.device.type, enabled=False):
        return roi_head.score_boxes(feats,
                                    [b.to(param.dtype) for b in boxes],
                                    memory, elapsed)


def proposals_of(data_samples: SampleList) -> List[Tensor]:
    """Boxes to score, in pixels.

    Args:
        data_samples (list[ActionDataSample]): With ``proposals``.

    Returns:
        list[Tensor]: (N_b, 4) for each clip.

    Raises:
        KeyError: If a clip has no proposals.
    """
    for sample in data_samples:
        if 'proposals' not in sample:
            raise KeyError(
                f'clip {sample.get("img_key", "")} has no proposals, so there '
                'are no boxes to score: give the dataset a proposal_file, or '
                'use OnlineAVADataset with test_mode=True, which takes '
                'ground-truth boxes without one')
    return [sample.proposals.bboxes for sample in data_samples]
