# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Sequence, Tuple, Union

import torch
from mmaction.registry import MODELS
from mmaction.utils import SampleList
from mmdet.models.detectors import FastRCNN
from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor

from mmaction_memvit.memory import WindowDataSample, remembers
from mmaction_memvit.memory.state import cat, tree_map

from ..layers.clip_memory import VideoMemory
from ..recognizers.clip_collaboration import ClipCollaboration
from ..roi_heads.slot_roi_head import proposals_of

Windows = Union[Tensor, Sequence[Tensor]]


@MMDET_MODELS.register_module()
@MODELS.register_module()
class CollaborativeFastRCNN(ClipCollaboration, FastRCNN):
    """Action detector that learns from the clips of a window together.

    A window is N clips of a video, a second apart, each with boxes and labels
    of its own. Its clips pass the backbone, share a memory in the neck, and
    the boxes of all of them are scored and trained together. Inputs are those
    of :class:`CollaborativeAVADataset`. For the two modes and their gradient
    see :class:`ClipCollaboration`; the RoI head is outside of them, it needs
    next to no memory.

    In testing each keyframe reads the memory of its own window; clips that
    windows share pass the backbone once.

    Args:
        **kwargs: For :class:`ClipCollaboration` (``mode``, ``memory_grad``,
            ``freeze_backbone``), whose errors it has, and mmdet's
            :class:`FastRCNN`. ``roi_head`` must be a
            :class:`MeMViTRoIHead` without box memory; ``neck`` is
            :class:`CollaborativeMemory`, or None: clips without memory, the
            baseline. ``test_cfg`` may have ``max_testing_views``: clips that
            pass the backbone at a time (default all of a sample; scores do
            not depend on it).
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(self.roi_head, 'score_boxes') \
                or remembers(self.roi_head):
            raise TypeError(
                'CollaborativeFastRCNN needs roi_head=dict(type='
                "'MeMViTRoIHead', box_block=None), or with mem_len=0, but got "
                f'{type(self.roi_head).__name__}; boxes of earlier clips are '
                'for OnlineFastRCNN')

    def extract_feat(self, batch_inputs: Tensor) -> object:
        """Features with memory of clips of windows (B, N, 3, T, H, W)."""
        num_clips = batch_inputs.shape[1]
        feats = self.scan_clips(batch_inputs, num_clips)
        return self.share_memory(feats, num_clips)

    def loss(self, batch_inputs: Tensor,
             batch_data_samples: Sequence[WindowDataSample]
             ) -> Dict[str, Tensor]:
        """Losses of the boxes of all clips; a zero where no clip has a box.

        Args:
            batch_inputs (Tensor): (B, N, 3, T, H, W), clips of windows.
            batch_data_samples (list[WindowDataSample]): Of the B windows; its
                clips with ``gt_instances`` and ``proposals``.
        """
        if not torch.is_tensor(batch_inputs):
            raise ValueError(
                'windows in training must have one number of clips and one '
                'size of frames, but the batch has '
                f'{sorted({tuple(x.shape) for x in batch_inputs})}: crop the '
                'training clips to one size')
        clips = [x for window in batch_data_samples for x in window.clips]
        return self.roi_head.loss_of_boxes(
            clips, lambda boxes: self.roi_head.score_boxes(
                self.extract_feat(batch_inputs), boxes)[0])

    def predict(self, batch_inputs: Windows,
                batch_data_samples: Sequence[WindowDataSample],
                rescale: bool = True) -> SampleList:
        """Scores of the proposals of keyframes.

        Args:
            batch_inputs (Tensor | list[Tensor]): For each sample (clips, 3,
                T, H, W).
            batch_data_samples (list[WindowDataSample]): For each sample, with
                the ``proposals`` of its scored clips.
            rescale (bool): Not used: boxes are shares of the image.

        Returns:
            list[ActionDataSample]: Of all scored keyframes, with
            ``pred_instances``, see :meth:`SlotRoIHead.results`.
        """
        done = []
        for clips, sample in zip(batch_inputs, batch_data_samples):
            logits, boxes, scored = self._score(clips, sample)
            done += self.add_pred_to_datasample(
                scored, self.roi_head.results(logits, boxes, scored))
        return done

    def _forward(self, batch_inputs: Windows,
                 batch_data_samples: Sequence[WindowDataSample]) -> Tensor:
        """Logits of the proposals of scored clips."""
        return torch.cat([
            self._score(clips, sample)[0]
            for clips, sample in zip(batch_inputs, batch_data_samples)])

    def _score(self, clips: Tensor, sample: WindowDataSample
               ) -> Tuple[Tensor, List[Tensor], SampleList]:
        """Logits, boxes and data samples of the scored clips of a sample."""
        step = (self.test_cfg or {}).get('max_testing_views') or len(clips)
        feats = cat([self.backbone_features(x) for x in clips.split(step)])
        mine = tree_map(lambda x: x[sample.scored], feats)
        if self.with_neck:
            written = self.neck.write(feats, 1)
            memory = [sum_windows(m, sample.windows) for m in written]
            mine = self.neck.read(mine, memory, 1)
        scored = [sample.clips[i] for i in sample.scored.tolist()]
        boxes = proposals_of(scored)
        return self.roi_head.score_boxes(mine, boxes)[0], boxes, scored


def sum_windows(memory: VideoMemory, windows: Tensor) -> VideoMemory:
    """Memories of K windows, by the numbers (K, N) of their clips.

    A clip that comes twice counts twice.
    """
    # Not one product of matrices, which may run in low precision.
    total = memory.total[windows[:, 0]]
    for column in windows[:, 1:].unbind(1):
        total = total + memory.total[column]
    return VideoMemory(total, memory.count * windows.shape[1])
