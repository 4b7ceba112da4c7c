# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmaction.registry import MODELS
from mmaction.utils import SampleList
from mmdet.models.detectors import FastRCNN
from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor

from mmaction_memvit.memory import MemoryHost, clip_identities, run_part
from mmaction_memvit.memory.host import Clips

from ..recognizers.cuda_graph import GraphedSteps
from ..roi_heads.slot_roi_head import proposals_of


@MMDET_MODELS.register_module()
@MODELS.register_module()
class OnlineFastRCNN(GraphedSteps, MemoryHost, FastRCNN):
    """Action detector of long videos, clip by clip, that owns the memory.

    The memories of backbone, neck and RoI head come from one bank, found by
    the clips' identity; each mode has a bank of its own, see
    :class:`MemoryHost`. With parts without memory it is a Fast R-CNN for
    clips that takes batches in testing: the baseline.

    Clips of different frame sizes in a batch (see
    :class:`AnySizeDataPreprocessor`) pass the model size by size, without
    padding: a clip's scores do not depend on its neighbours.

    Args:
        **kwargs: For :class:`GraphedSteps` (``cuda_graph``, of backbone and
            neck: boxes are of any number), :class:`MemoryHost` (``max_gap``,
            ``max_streams``, ``bptt_clips``, ``with_cp``) and mmdet's
            :class:`FastRCNN`; ``roi_head`` is a :class:`MeMViTRoIHead` or a
            :class:`StreamTransformerRoIHead`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self.roi_head, 'score_boxes'):
            raise TypeError(
                "OnlineFastRCNN needs roi_head=dict(type='MeMViTRoIHead') or "
                f"'StreamTransformerRoIHead', not "
                f'{type(self.roi_head).__name__}; without box block and '
                'memory: MeMViTRoIHead with box_block=None')

    def memory_parts(self) -> tuple:
        """Backbone, neck (None without one) and RoI head."""
        return (self.backbone, self.neck if self.with_neck else None,
                self.roi_head)

    def extract_feat(self, batch_inputs: Tensor) -> object:
        """Features of clips without memory, of backbone and neck.

        Clips are (B, 3, T, H, W), or as recognizers take them, (B, views, 3,
        T, H, W), which get_flops gives.
        """
        if batch_inputs.ndim == 6:
            batch_inputs = batch_inputs.flatten(0, 1)
        return super().extract_feat(batch_inputs)

    def step(self, clips: Tensor, boxes: Sequence[Tensor],
             memory: Optional[tuple] = None, elapsed: Optional[Tensor] = None
             ) -> Tuple[Tensor, Optional[tuple]]:
        """One clip of each stream, see :meth:`MemoryHost.step`.

        ``boxes`` are (N_b, 4) pixels for each clip. Gives logits (sum of N_b,
        num_classes - 1), and the next memory (None if none came in).
        """
        *own, of_boxes = memory or (None, None, None)
        feats, own = self.replay(self._feats, clips, tuple(own), elapsed)
        logits, of_boxes = self.roi_head.score_boxes(feats, boxes, of_boxes,
                                                     elapsed)
        return logits, None if memory is None else (*own, of_boxes)

    def _feats(self, clips: Tensor, memory: tuple,
               elapsed: Optional[Tensor]) -> Tuple:
        own, of_neck = memory
        feats, own = run_part(self.backbone, clips, own, elapsed)
        if self.with_neck:
            feats, of_neck = run_part(self.neck, feats, of_neck, elapsed)
        return feats, (own, of_neck)

    def _score(self, inputs: Clips, boxes: Sequence[Tensor],
               data_samples: SampleList, test_mode: bool) -> Tensor:
        """Logits of a batch, in the order of its boxes; the bank moves on."""
        logits: List[Optional[Tensor]] = [None] * len(boxes)
        identities = (
            clip_identities(data_samples) if self.with_memory else None)
        for lanes, scores in self.run_batch(
                self.bank(test_mode), inputs, identities, boxes):
            for i, own in zip(lanes,
                              scores.split([len(boxes[i]) for i in lanes])):
                logits[i] = own
        return torch.cat(logits)

    def loss(self, batch_inputs: Clips,
             batch_data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses of one step of the streams; a zero where there is no box.

        Args:
            batch_inputs (Tensor | list[Tensor]): Clips, (B, 3, T, H, W).
            batch_data_samples (list[ActionDataSample]): With the clips'
                identities, ``gt_instances`` and ``proposals``.
        """
        return self.roi_head.loss_of_boxes(
            batch_data_samples, lambda boxes: self._score(
                batch_inputs, boxes, batch_data_samples, False))

    def predict(self, batch_inputs: Clips, batch_data_samples: SampleList,
                rescale: bool = True) -> SampleList:
        """Scores of the proposals of one step of the streams.

        Args:
            batch_inputs (Tensor | list[Tensor]): Clips, (B, 3, T, H, W).
            batch_data_samples (list[ActionDataSample]): With the clips'
                identities and ``proposals``.
            rescale (bool): Not used: boxes are shares of the image.

        Returns:
            list[ActionDataSample]: With ``pred_instances``, see
            :meth:`SlotRoIHead.results`.
        """
        boxes = proposals_of(batch_data_samples)
        logits = self._score(batch_inputs, boxes, batch_data_samples, True)
        return self.add_pred_to_datasample(
            batch_data_samples,
            self.roi_head.results(logits, boxes, batch_data_samples))

    def _forward(self, batch_inputs: Clips,
                 batch_data_samples: SampleList) -> Tensor:
        """Logits of the proposals, without memory."""
        boxes = proposals_of(batch_data_samples)
        return self.step(batch_inputs, boxes)[0]
