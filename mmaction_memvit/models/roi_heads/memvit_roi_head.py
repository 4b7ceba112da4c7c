# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmaction.models.roi_heads.roi_head import AVARoIHead
from mmaction.registry import MODELS
from mmaction.utils import InstanceList, SampleList
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.model import ModuleList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmaction_memvit.memory.state import Memory, on_device, tree_map
from mmaction_memvit.messages import check_choice, check_whole

from ..layers.box_block import BoxBlock
from ..layers.box_memory import BoxMemory
from .memvit_bbox_head import boxes_of

Features = Union[Tensor, Sequence]


@MMDET_MODELS.register_module()
@MODELS.register_module()
class MeMViTRoIHead(AVARoIHead):
    """RoI head whose boxes see each other and those of earlier clips.

    From `MeMViT <https://arxiv.org/abs/2201.08383>`_, as released for AVA:
    features of a box (RoIAlign, max pooled) pass a transformer block over the
    boxes of the clip and the remembered ones, then a classifier. The module
    is pure: memory comes in as an argument and goes out as a result.

    Boxes stand in slots, a multiple of ``num_slots``, so that shapes seldom
    change; empty slots are not attended to and never scored.

    Args:
        box_block (dict, optional): Arguments of :class:`BoxBlock`; None for
            no block, as in a plain detector. Defaults to ``dict()``.
        num_box_blocks (int): Defaults to 1.
        mem_len (int): Attended clips M; 0 for no memory. Defaults to 2.
        mem_stride (int): Gap between attended clips, as in :class:`MeMViT`.
            Defaults to 1.
        mem_mask (str): 'exclude' attends to boxes of this stream only; 'zero'
            also to empty slots, and to earlier videos' as zeros, as the
            reference does. Defaults to 'exclude'.
        num_slots (int): Defaults to 100.
        **kwargs: For :class:`AVARoIHead`: ``bbox_roi_extractor``,
            ``bbox_head``, ``train_cfg``, ``test_cfg``.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, *args,
                 box_block: Optional[Dict] = dict(),  # noqa: B006, C408
                 num_box_blocks: int = 1, mem_len: int = 2,
                 mem_stride: int = 1, mem_mask: str = 'exclude',
                 num_slots: int = 100, **kwargs) -> None:
        for name, value, low in (('num_box_blocks', num_box_blocks, 1),
                                 ('mem_len', mem_len, 0),
                                 ('mem_stride', mem_stride, 1),
                                 ('num_slots', num_slots, 1)):
            check_whole(name, value, low)
        check_choice('mem_mask', mem_mask, ('exclude', 'zero'))
        super().__init__(*args, **kwargs)
        self.box_blocks = ModuleList(
            [] if box_block is None else
            [BoxBlock(**box_block) for _ in range(num_box_blocks)])
        self.mem_len = mem_len if self.box_blocks else 0
        self.mem_stride = mem_stride
        self.zero_mask = mem_mask == 'zero'
        self.num_slots = num_slots

    @property
    def temporal_support(self) -> int:
        """int: clips of the past whose boxes can matter."""
        return self.mem_len * self.mem_stride * len(self.box_blocks)

    def init_memory(
            self, batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[BoxMemory]:
        """The memory at the start of ``batch_size`` streams, without a box.

        None with ``mem_len`` 0 or no ``box_block``. ``input_size`` and
        ``dtype`` do not matter: the head runs in its parameters' dtype,
        whatever the backbone's is.
        """
        if not self.mem_len:
            return None
        num = self.mem_len * self.mem_stride
        param = self.box_blocks[0].norm1.weight

        def zeros(*shape: int, dtype: torch.dtype = torch.bool) -> Tensor:
            return torch.zeros(
                shape, dtype=dtype, device=device or param.device)

        entry = batch_size, self.num_slots, param.shape[0]
        return BoxMemory(
            tuple(tuple(zeros(*entry, dtype=param.dtype) for _ in range(num))
                  for _ in self.box_blocks),
            tuple(zeros(*entry[:2]) for _ in range(num)),
            zeros(batch_size, num) if self.zero_mask else None)

    def _past(self, memory: BoxMemory, layer: int) -> Tuple[Tensor, Tensor]:
        """Attended boxes of a block and which of them count."""
        pick = slice(self.mem_stride - 1, None, self.mem_stride)
        entries = memory.layers[layer][pick]
        if self.zero_mask:
            seen = [
                column[:, None].expand(-1, entry.shape[1]) for entry, column in
                zip(entries, memory.filled[:, pick].unbind(1))]
        else:
            seen = memory.slots[pick]
        return torch.cat(entries, 1), torch.cat(tuple(seen), 1)

    def _relate(
        self, x: Tensor, counts: Sequence[int], memory: Optional[BoxMemory]
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """Let boxes (N, C) see each other and the memory."""
        num_slots = max(-(-max(counts) // self.num_slots), 1) * self.num_slots
        # Counts are Python numbers: nothing here waits for the device.
        place = on_device(
            torch.tensor([lane * num_slots + i
                          for lane, num in enumerate(counts)
                          for i in range(num)], dtype=torch.long), x)
        batch = len(counts)
        flat = x.new_zeros(batch * num_slots, x.shape[1])
        slots = torch.zeros(
            batch * num_slots, dtype=torch.bool, device=x.device)
        boxes, memory = self._relate_slots(
            flat.index_copy(0, place, x).view(batch, num_slots, -1),
            slots.index_fill(0, place, True).view(batch, num_slots), memory)
        return boxes.flatten(0, 1).index_select(0, place), memory

    def _relate_slots(
            self, boxes: Tensor, slots: Tensor, memory: Optional[BoxMemory]
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """As :meth:`_relate`, of boxes (B, S, C) in slots, bool (B, S)."""
        seen = torch.ones_like(slots) if self.zero_mask else slots
        entries = []
        for i, block in enumerate(self.box_blocks):
            if memory is None:
                past, past_seen = boxes[:, :0], seen[:, :0]
            else:
                past, past_seen = self._past(memory, i)
            boxes, entry = block(boxes, seen, past, past_seen)
            entries.append(entry)
        if memory is not None:
            if not self.zero_mask:
                # An empty slot's bias must not pass for something seen.
                entries = [x.masked_fill(~slots[..., None], 0.)
                           for x in entries]
            memory = memory.push(entries, slots)
        return boxes, memory

    def score_boxes(
        self, feats: Features, boxes: Sequence[Tensor],
        memory: Optional[BoxMemory] = None, elapsed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """Logits of the boxes of one clip of each stream.

        Args:
            feats (Tensor | Sequence): What the backbone gives: (B, C, T, H,
                W), a tuple of such (pathways), or a transformer's ``[patch,
                cls]``, of which the class token is dropped.
            boxes (Sequence[Tensor]): (N_b, 4) pixels for each of the B clips,
                N_b may be 0.
            memory (BoxMemory, optional): Of the clips before. Defaults to
                None: nothing is remembered.
            elapsed (Tensor, optional): Not used: the head counts clips.

        Returns:
            tuple: Logits (sum of N_b, num_classes - 1), and the next memory
            (None if none came in).
        """
        # Boxes may be on the host, see sample_boxes.
        rois = on_device(bbox2roi(boxes), next(self.bbox_head.parameters()))
        num = len(rois)
        if not num:
            # CUDA's RoIAlign stops at no box. One is looked at and dropped,
            # which leaves the backbone its (zero) gradient.
            rois = rois.new_zeros(1, 5)
        roi_feats, _ = self.bbox_roi_extractor(patch_features(feats), rois)
        x = self.bbox_head.pool(roi_feats[:num])
        if self.box_blocks:
            x, memory = self._relate(x, [len(b) for b in boxes], memory)
        return self.bbox_head(x), memory

    def score_slots(
        self, feats: Features, boxes: Tensor, slots: Tensor,
        memory: Optional[BoxMemory] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """As :meth:`score_boxes`, in shapes that no number of boxes changes.

        Args:
            feats (Tensor | Sequence): What the backbone gives.
            boxes (Tensor): (B, S, 4) pixels; S is ``num_slots``.
            slots (Tensor): Bool, (B, S): which of them are boxes.
            memory (BoxMemory, optional): Of the clips before. Defaults to
                None: nothing is remembered.

        Returns:
            tuple: Logits (B, S, num_classes - 1), of no meaning where there
            is no box, and the next memory (None if none came in).
        """
        batch, num = slots.shape
        lanes = torch.arange(batch, device=boxes.device, dtype=boxes.dtype)
        rois = torch.cat(
            (lanes[:, None, None].expand(-1, num, -1), boxes), 2).flatten(0, 1)
        roi_feats, _ = self.bbox_roi_extractor(patch_features(feats), rois)
        x = self.bbox_head.pool(roi_feats)
        if self.box_blocks:
            x = torch.where(slots.flatten()[:, None], x, x.new_zeros(()))
            x, memory = self._relate_slots(
                x.unflatten(0, (batch, num)), slots, memory)
            x = x.flatten(0, 1)
        return self.bbox_head(x).unflatten(0, (batch, num)), memory

    def sample_boxes(self, data_samples: SampleList) -> List[SamplingResult]:
        """Choose the boxes to train on and find their labels.

        Ground truth, and proposals (if any), with the labels of a
        ground-truth box where they overlap enough, else none
        (``train_cfg.rcnn``). On the host: it is a hundred operators on a
        handful of boxes, many of which would wait for the device.
        """
        results = []
        for sample in data_samples:
            gt = sample.gt_instances.cpu()
            if 'proposals' in sample:
                priors = sample.proposals.bboxes.cpu()
            else:
                priors = gt.bboxes.new_zeros(0, 4)
            candidates = InstanceData(priors=priors)
            assigned = self.bbox_assigner.assign(candidates, gt, None)
            results.append(self.bbox_sampler.sample(assigned, candidates, gt))
        return results

    def loss(self, x: Features, rpn_results_list: Optional[InstanceList],
             data_samples: SampleList, **kwargs) -> Dict[str, Tensor]:
        """Losses of clips without memory, as :class:`AVARoIHead`."""
        results = self.sample_boxes(data_samples)
        logits, _ = self.score_boxes(x, boxes_of(results))
        return self.bbox_head.loss_and_target(logits, None,
                                              results)['loss_bbox']

    def predict(self, x: Features, rpn_results_list: InstanceList,
                data_samples: SampleList, **kwargs) -> InstanceList:
        """Results of clips without memory, of any number of clips."""
        boxes = [res.bboxes for res in rpn_results_list]
        logits, _ = self.score_boxes(x, boxes)
        return self.results(logits, boxes, data_samples)

    def results(self, logits: Tensor, boxes: Sequence[Tensor],
                data_samples: SampleList) -> InstanceList:
        """Turn logits (sum of N_b, num_classes - 1) into detections.

        Returns:
            list[InstanceData]: ``bboxes`` (N_b, 4), shares of the image, and
            ``scores`` (N_b, num_classes).
        """
        counts = [len(b) for b in boxes]
        return self.bbox_head.predict_by_feat(
            rois=bbox2roi(boxes).split(counts),
            cls_scores=logits.split(counts),
            batch_img_metas=[x.metainfo for x in data_samples],
            rcnn_test_cfg=self.test_cfg)


def patch_features(feats: Features) -> Features:
    """Feature maps for the RoI extractor: the class token is dropped."""
    if torch.is_tensor(feats):
        return feats
    if isinstance(feats[-1], (list, tuple)):
        return feats[-1][0]
    return tuple(feats)


def score_boxes(roi_head: nn.Module, feats: object, boxes: Sequence[Tensor],
                memory: Memory = None,
                elapsed: Optional[Tensor] = None) -> Tuple[Tensor, Memory]:
    """A head's ``score_boxes``, without autocast and in its own dtype.

    The head is a small part of the work: so RoIAlign and scores are exact.
    """
    param = next(roi_head.parameters())
    feats = tree_map(lambda x: x.to(param.dtype), feats)
    with torch.autocast(param.device.type, enabled=False):
        return roi_head.score_boxes(
            feats, [b.to(param.dtype) for b in boxes], memory, elapsed)


def proposals_of(data_samples: SampleList) -> List[Tensor]:
    """Boxes to score, (N_b, 4) pixels for each clip."""
    for sample in data_samples:
        if 'proposals' not in sample:
            raise KeyError(
                f'clip {sample.get("img_key", "")} has no proposals, so there '
                'are no boxes to score: give the dataset a proposal_file, or '
                'use OnlineAVADataset with test_mode=True, which takes '
                'ground-truth boxes without one')
    return [sample.proposals.bboxes for sample in data_samples]
