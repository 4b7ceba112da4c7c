# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import defaultdict
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmaction.registry import MODELS
from mmaction.utils import SampleList
from mmdet.models.detectors import FastRCNN
from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor

from mmaction_memvit.structures import DetectionMemory, MemoryBank

from ..roi_heads.memvit_bbox_head import boxes_of
from ..utils.online import MemoryOwner, clip_identities, has_memory
from .score_boxes import proposals_of, score_boxes

Clips = Union[Tensor, Sequence[Tensor]]


@MMDET_MODELS.register_module()
@MODELS.register_module()
class OnlineFastRCNN(MemoryOwner, FastRCNN):
    """Action detector of long videos, clip by clip, that owns the memory.

    The memory of the backbone and of the RoI head come from one bank, found
    by the clips' identity; each mode has a bank of its own. With parts
    without memory it is a Fast R-CNN for clips that takes batches in testing:
    the baseline.

    Clips of different frame sizes in a batch (see
    :class:`AnySizeDataPreprocessor`) pass the model size by size, without
    padding: a clip's scores do not depend on its neighbours.

    Args:
        max_gap (int): Greatest step of ``timestamp`` within a stream; above
            it, the stream starts anew. Defaults to 1.
        max_streams (int, optional): Streams remembered at most. Defaults to
            None: twice the largest batch.
        **kwargs: For mmdet's :class:`FastRCNN`; ``roi_head`` must be a
            :class:`MeMViTRoIHead`.
    """

    def __init__(self,
                 *args,
                 max_gap: int = 1,
                 max_streams: Optional[int] = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self.roi_head, 'score_boxes'):
            raise TypeError(
                'OnlineFastRCNN needs roi_head=dict(type='
                f"'MeMViTRoIHead'), not {type(self.roi_head).__name__}; "
                'without box block and memory: box_block=None')
        self.init_banks(max_gap, max_streams)

    @property
    def with_memory(self) -> bool:
        """bool: whether backbone or RoI head remember."""
        return has_memory(self.backbone) or self.roi_head.with_memory

    def init_memory(self, batch_size: int,
                    input_size: Tuple[int, int]) -> DetectionMemory:
        """The memory at the start of streams: empty.

        Args:
            batch_size (int): Streams B.
            input_size (tuple[int]): Height and width of the frames.

        Returns:
            DetectionMemory: With nothing in it.
        """
        clips = boxes = None
        if has_memory(self.backbone):
            clips = self.backbone.init_memory(batch_size, input_size)
        if self.roi_head.with_memory:
            boxes = self.roi_head.init_memory(batch_size)
        return DetectionMemory(clips, boxes)

    def step(
        self,
        clips: Tensor,
        boxes: Sequence[Tensor],
        memory: Optional[DetectionMemory] = None
    ) -> Tuple[Tensor, Optional[DetectionMemory]]:
        """One clip of each stream; a pure function.

        Args:
            clips (Tensor): (B, 3, T, H, W), normalised.
            boxes (Sequence[Tensor]): (N_b, 4) pixels for each clip.
            memory (DetectionMemory, optional): Of the clips before. Defaults
                to None: nothing is remembered.

        Returns:
            tuple: Logits (sum of N_b, num_classes - 1), and the next memory
            (None if none came in).
        """
        past, box_memory = memory or (None, None)
        if past is None:
            feats = self.backbone(clips)
        else:
            feats, past = self.backbone(clips, past)
        if self.with_neck:
            feats = self.neck(feats)
        logits, box_memory = score_boxes(self.roi_head, feats, boxes,
                                         box_memory)
        if memory is None:
            return logits, None
        return logits, DetectionMemory(past, box_memory)

    def _score(self, inputs: Clips, boxes: Sequence[Tensor],
               data_samples: SampleList, bank: MemoryBank) -> Tensor:
        """Logits of a batch, in the order of its boxes; the bank moves on."""
        logits: List[Optional[Tensor]] = [None] * len(boxes)
        identities = (
            clip_identities(data_samples) if self.with_memory else None)
        for lanes in lanes_by_size(inputs):
            clips = (
                inputs if torch.is_tensor(inputs) else torch.stack(
                    [inputs[i] for i in lanes]))
            own = [boxes[i] for i in lanes]
            if identities is None:
                scores, _ = self.step(clips, own)
            else:
                who = [identities[i] for i in lanes]
                size = tuple(clips.shape[-2:])
                memory = bank.read(
                    who, lambda num, size=size: self.init_memory(num, size))
                scores, memory = self.step(clips, own, memory)
                bank.write(who, memory, batch_size=len(boxes))
            for i, part in zip(lanes, scores.split([len(b) for b in own])):
                logits[i] = part
        return torch.cat(logits)

    def loss(self, batch_inputs: Clips,
             batch_data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses of one step of the streams.

        Args:
            batch_inputs (Tensor | list[Tensor]): Clips, (B, 3, T, H, W).
            batch_data_samples (list[ActionDataSample]): With the clips'
                identities, ``gt_instances`` and ``proposals``.

        Returns:
            dict: Of losses; a zero where the batch has no box.
        """
        results = self.roi_head.sample_boxes(batch_data_samples)
        logits = self._score(batch_inputs, boxes_of(results),
                             batch_data_samples, self.bank(False))
        return self.roi_head.bbox_head.loss_and_target(
            logits, None, results)['loss_bbox']

    def predict(self,
                batch_inputs: Clips,
                batch_data_samples: SampleList,
                rescale: bool = True) -> SampleList:
        """Scores of the proposals of one step of the streams.

        Args:
            batch_inputs (Tensor | list[Tensor]): Clips, (B, 3, T, H, W).
            batch_data_samples (list[ActionDataSample]): With the clips'
                identities and ``proposals``.
            rescale (bool): Not used: boxes are shares of the image.

        Returns:
            list[ActionDataSample]: With ``pred_instances``, see
            :meth:`MeMViTRoIHead.results`.
        """
        boxes = proposals_of(batch_data_samples)
        logits = self._score(batch_inputs, boxes, batch_data_samples,
                             self.bank(True))
        return self.add_pred_to_datasample(
            batch_data_samples,
            self.roi_head.results(logits, boxes, batch_data_samples))

    def _forward(self, batch_inputs: Clips,
                 batch_data_samples: SampleList) -> Tensor:
        """Logits of the proposals, without memory."""
        boxes = proposals_of(batch_data_samples)
        return self.step(batch_inputs, boxes)[0]


def lanes_by_size(inputs: Clips) -> List[List[int]]:
    """Lanes that can be one batch: those of equal frame size."""
    if torch.is_tensor(inputs):
        return [list(range(len(inputs)))]
    groups = defaultdict(list)
    for i, clip in enumerate(inputs):
        groups[tuple(clip.shape)].append(i)
    return list(groups.values())
