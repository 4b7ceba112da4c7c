# Copyright (c) mmaction_memvit contributors. All rights reserved.
from functools import partial
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmaction.models.roi_heads.roi_head import AVARoIHead
from mmaction.utils import InstanceList, SampleList
from mmdet.models.task_modules.samplers import SamplingResult
from mmengine.structures import InstanceData
from torch import Tensor

from mmaction_memvit.memory.state import on_device, tree_map
from mmaction_memvit.messages import check_whole
from mmaction_memvit.ops.precision import full_precision

from ..layers.box_memory import BoxMemory

Features = Union[Tensor, Sequence]


class SlotRoIHead(AVARoIHead):
    """What RoI heads have in common whose boxes see each other.

    Features of boxes (RoIAlign, pooled) are related to each other and to
    remembered ones (:meth:`relate_slots`), then classified. The module is
    pure: memory comes in as an argument and goes out as a result.

    Boxes stand in slots, a multiple of ``num_slots``, so that shapes seldom
    change; empty slots are never scored.

    Args:
        num_slots (int): Defaults to 100.
        **kwargs: For :class:`AVARoIHead`: ``bbox_roi_extractor``,
            ``bbox_head``, ``train_cfg``, ``test_cfg``.
    """
    # Whether empty slots of remembered clips are seen, as zeros.
    zero_mask = False
    # Whether the head keeps time.
    with_time = False

    def __init__(self, *args, num_slots: int = 100, **kwargs) -> None:
        check_whole('num_slots', num_slots)
        super().__init__(*args, **kwargs)
        self.num_slots = num_slots

    def memory_size(self) -> Tuple[int, int, int]:
        """Layers, entries of each (0: no memory), and channels of a box."""
        raise NotImplementedError

    def init_memory(
            self, batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[BoxMemory]:
        """The memory at the start of B streams, without a box; or None.

        ``input_size`` and ``dtype`` do not matter: the head runs in its
        parameters' dtype, whatever the backbone's is.
        """
        layers, num, width = self.memory_size()
        if not num:
            return None
        param = next(self.parameters())
        new = partial(torch.zeros, batch_size, num,
                      device=device or param.device)
        return BoxMemory.empty(
            (layers, num), (batch_size, self.num_slots, width), param,
            device)._replace(
                filled=new(dtype=torch.bool) if self.zero_mask else None,
                seconds=new() if self.with_time else None)

    def relate_slots(
            self, boxes: Tensor, slots: Tensor, memory: Optional[BoxMemory],
            elapsed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """Let boxes (B, S, C) see each other and the memory.

        ``slots``, bool (B, S), tells which of them are boxes; what comes out
        of others means nothing, but is finite. ``elapsed`` as in
        :meth:`score_boxes`.
        """
        raise NotImplementedError

    def relate(
        self, x: Tensor, counts: Sequence[int], memory: Optional[BoxMemory],
        elapsed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """As :meth:`relate_slots`, of boxes (N, C), ``counts`` a clip."""
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
        boxes, memory = self.relate_slots(
            flat.index_copy(0, place, x).view(batch, num_slots, -1),
            slots.index_fill(0, place, True).view(batch, num_slots), memory,
            elapsed)
        return boxes.flatten(0, 1).index_select(0, place), memory

    def score_boxes(
        self, feats: Features, boxes: Sequence[Tensor],
        memory: Optional[BoxMemory] = None, elapsed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """Logits of the boxes of one clip of each stream.

        Without autocast and in the head's own dtype: it is a small part of
        the work, and so RoIAlign and scores are exact.

        Args:
            feats (Tensor | Sequence): What the backbone gives: (B, C, T, H,
                W), a tuple of such (pathways), or a transformer's ``[patch,
                cls]``, of which the class token is dropped.
            boxes (Sequence[Tensor]): (N_b, 4) pixels for each of the B clips,
                N_b may be 0.
            memory (BoxMemory, optional): Of the clips before. Defaults to
                None: nothing is remembered.
            elapsed (Tensor, optional): (B, ) seconds since the clips before,
                for heads that keep time. Defaults to None: nobody knows.

        Returns:
            tuple: Logits (sum of N_b, num_classes - 1), and the next memory
            (None if none came in).
        """
        param = next(self.parameters())
        feats = tree_map(lambda x: x.to(param.dtype), patch_features(feats))
        # Boxes may be on the host, see sample_boxes.
        rois = on_device(rois_of(boxes).to(param.dtype), param)
        num = len(rois)
        if not num:
            # CUDA's RoIAlign stops at no box. One is looked at and dropped,
            # which leaves the backbone its (zero) gradient.
            rois = rois.new_zeros(1, 5)
        with full_precision(param):
            roi_feats, _ = self.bbox_roi_extractor(feats, rois)
            x = self.bbox_head.pool(roi_feats[:num])
            x, memory = self.relate(
                x, [len(b) for b in boxes], memory, elapsed)
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
        x = torch.where(slots.flatten()[:, None], x, x.new_zeros(()))
        x, memory = self.relate_slots(
            x.unflatten(0, (batch, num)), slots, memory)
        logits = self.bbox_head(x.flatten(0, 1))
        return logits.unflatten(0, (batch, num)), memory

    def sample_boxes(self, data_samples: SampleList) -> List[SamplingResult]:
        """Choose the boxes to train on and find their labels.

        Ground truth, and proposals (if any), with the labels of a
        ground-truth box where they overlap enough, else none
        (``train_cfg.rcnn``). On the host: it is a hundred operators on a
        handful of boxes, many of which would wait for the device.
        """
        gts = [sample.gt_instances for sample in data_samples]
        boxes = on_host([gt.bboxes for gt in gts])
        priors = on_host([
            sample.proposals.bboxes if 'proposals' in sample else
            gt.bboxes[:0] for sample, gt in zip(data_samples, gts)])
        results = []
        for own, labels, prior in zip(boxes, on_host(
                [gt.labels for gt in gts]), priors):
            gt = InstanceData(bboxes=own, labels=labels)
            candidates = InstanceData(priors=prior)
            assigned = self.bbox_assigner.assign(candidates, gt, None)
            results.append(self.bbox_sampler.sample(assigned, candidates, gt))
        return results

    def loss_of_boxes(self, data_samples: SampleList,
                      score: Callable) -> Dict[str, Tensor]:
        """Losses of sampled boxes, of whose logits ``score`` is a function."""
        results = self.sample_boxes(data_samples)
        logits = score([res.priors for res in results])
        return self.bbox_head.loss_and_target(logits, None,
                                              results)['loss_bbox']

    def loss(self, x: Features, rpn_results_list: Optional[InstanceList],
             data_samples: SampleList, **kwargs) -> Dict[str, Tensor]:
        """Losses of clips without memory, as :class:`AVARoIHead`."""
        return self.loss_of_boxes(
            data_samples, lambda boxes: self.score_boxes(x, boxes)[0])

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
            ``scores`` (N_b, num_classes); on the host, where metrics and
            files want them: a device would be asked for each clip.
        """
        counts = [len(b) for b in boxes]
        # In half precision a host has not all operators, NumPy no bfloat16.
        logits = logits.to(
            'cpu', torch.promote_types(logits.dtype, torch.float32))
        return self.bbox_head.predict_by_feat(
            rois=rois_of(on_host(boxes)).split(counts),
            cls_scores=logits.split(counts),
            batch_img_metas=[x.metainfo for x in data_samples],
            rcnn_test_cfg=self.test_cfg)


def rois_of(boxes: Sequence[Tensor]) -> Tensor:
    """Boxes (N_b, 4) of B clips as (sum of N_b, 5), the clip's number first.

    In as many operators whatever B is.
    """
    counts = torch.tensor([len(x) for x in boxes])
    lanes = torch.arange(len(boxes)).repeat_interleave(counts)
    flat = torch.cat(tuple(boxes))
    return torch.cat((on_device(lanes[:, None].to(flat.dtype), flat), flat), 1)


def on_host(parts: Sequence[Tensor]) -> Sequence[Tensor]:
    """Tensors on the host: one wait for the device, not one each."""
    if parts[0].device.type == 'cpu':
        return parts
    return torch.cat(list(parts)).cpu().split([len(x) for x in parts])


def patch_features(feats: Features) -> Features:
    """Feature maps for the RoI extractor: the class token is dropped."""
    if torch.is_tensor(feats):
        return feats
    if isinstance(feats[-1], (list, tuple)):
        return feats[-1][0]
    return tuple(feats)


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
