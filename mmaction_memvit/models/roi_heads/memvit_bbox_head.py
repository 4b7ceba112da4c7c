# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmaction.models.roi_heads.bbox_heads import BBoxHeadAVA
from mmaction.registry import MODELS
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import ConfigDict
from mmengine.model.weight_init import trunc_normal_
from mmengine.structures import InstanceData
from torch import Tensor


@MMDET_MODELS.register_module()
@MODELS.register_module()
class MeMViTBBoxHead(BBoxHeadAVA):
    """Action scores of boxes (MeMViT's AVA head after the box block).

    Differs from :class:`BBoxHeadAVA`: boxes without a label can count as
    negatives, no number of boxes (none included) is special, class 0 has no
    weights, and results are reported in the proposals as they came.

    Args:
        in_channels (int): Channels of a box. Defaults to 768.
        num_classes (int): Classes with the reserved class 0, as everywhere in
            MMAction2's AVA parts. Defaults to 81.
        negatives (bool): Whether boxes without a label are taught that they
            show no action (all-zero targets); else they are left out of the
            loss. Applies to ``multilabel`` alone. Defaults to True.
        dropout_ratio (float): Before the classifier. Defaults to 0.5.
        topk (int | Sequence[int], optional): For the logged recall and
            precision. Defaults to None: those of 3 and 5 below the number
            of classes.
        init_std (float): Of the classifier's weights. Defaults to 0.02.
        **kwargs: For :class:`BBoxHeadAVA`, with its defaults: focal_gamma,
            focal_alpha, multilabel, spatial_pool_type, temporal_pool_type and
            mlp_head.
    """

    def __init__(self, in_channels: int = 768, num_classes: int = 81,
                 negatives: bool = True, dropout_ratio: float = 0.5,
                 topk: Optional[Union[int, Sequence[int]]] = None,
                 init_std: float = 0.02, **kwargs) -> None:
        if num_classes < 2:
            raise ValueError(
                f'num_classes is {num_classes}, but must be the number of '
                'actions plus 1 (class 0 is reserved), so at least 2')
        if topk is None:
            topk = tuple(k for k in (3, 5) if k < num_classes - 1)
        super().__init__(
            background_class=False, in_channels=in_channels,
            num_classes=num_classes - 1, dropout_ratio=dropout_ratio,
            topk=topk if isinstance(topk, int) else tuple(topk), **kwargs)
        self.num_classes = num_classes
        self.negatives = negatives
        self.init_std = init_std

    def init_weights(self) -> None:
        """Initialise the classifier."""
        for m in self.modules():
            if isinstance(m, nn.Linear):
                trunc_normal_(m.weight, std=self.init_std)
                nn.init.zeros_(m.bias)

    def pool(self, roi_feats: Tensor) -> Tensor:
        """One vector a box: (N, C, T, H, W) to (N, C)."""
        x = (roi_feats.mean(2) if self.temporal_pool_type == 'avg'
             else roi_feats.amax(2))
        if self.spatial_pool_type == 'avg':
            return x.mean((2, 3))
        return x.amax((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes - 1), without the reserved class.

        Of boxes (N, C) or, not yet pooled, (N, C, T, H, W).
        """
        if x.dim() > 2:
            x = self.pool(x)
        return self.fc_cls(F.dropout(x, self.dropout_ratio, self.training))

    def topk_accuracy(self, pred: Tensor, target: Tensor,
                      thr: float = 0.5) -> Tuple:
        """As in :class:`BBoxHeadAVA`, without a matrix for each K.

        Of boxes with logits and targets (N, num_classes - 1), recall and
        precision at the threshold, then lists of those at each K of ``topk``.
        """
        target = target > 0.5
        num = target.sum(1, keepdim=True).float()
        probs = pred.sigmoid() if self.multilabel else pred.softmax(1)
        # How many of the k best classes are right, k from 1 on.
        hits = target.gather(
            1, probs.topk(max(self.topk, default=1), 1)[1]).cumsum(1).float()
        recalls, hits_k = (hits / num).mean(0), hits.mean(0)
        if self.multilabel:
            found = probs > thr
            right = (found & target).sum(1, keepdim=True)
            recall = (right / num).mean()
            prec = (right / (found.sum(1, keepdim=True) + 1e-6)).mean()
        else:
            recall, prec = recalls[0], hits_k[0] / (1 + 1e-6)
        return (recall, prec, [recalls[k - 1] for k in self.topk],
                [hits_k[k - 1] / (k + 1e-6) for k in self.topk])

    def get_targets(self, sampling_results: List[SamplingResult],
                    rcnn_train_cfg: Optional[ConfigDict] = None) -> Tensor:
        """Many-hot targets of the boxes, (N, num_classes).

        A clip's boxes are its positives, then its negatives.
        """
        targets = []
        none = sampling_results[0].priors.new_zeros(1, self.num_classes)
        for res in sampling_results:
            labels = res.pos_gt_labels
            if len(res.pos_priors):
                if labels.shape[1] != self.num_classes:
                    raise ValueError(
                        f'the labels have {labels.shape[1]} columns, but the '
                        f"box head's num_classes is {self.num_classes}: set "
                        "both the dataset's and the box head's num_classes "
                        'to the number of actions plus 1')
                targets.append(labels.to(none.dtype))
            targets.append(none.expand(len(res.neg_priors), -1))
        return torch.cat(targets)

    def loss_and_target(self, cls_score: Tensor, rois: Optional[Tensor],
                        sampling_results: List[SamplingResult],
                        rcnn_train_cfg: Optional[ConfigDict] = None,
                        **kwargs) -> Dict:
        """Loss of boxes with logits (N, num_classes - 1).

        Returns:
            dict: ``loss_bbox`` with ``loss_action_cls``, and recall and
            precision over the labelled boxes, where there are any;
            ``bbox_targets``.
        """
        targets = self.get_targets(sampling_results)
        # Where the boxes were sampled: the device need not be asked.
        labelled = (targets[:, 1:].sum(1) > 0).nonzero()[:, 0]
        targets, labelled = (x.to(cls_score.device, non_blocking=True)
                             for x in (targets, labelled))
        labels = targets[:, 1:]
        losses = dict()
        if any(len(res.pos_priors) for res in sampling_results):
            recall, precision, recalls, precisions = self.topk_accuracy(
                cls_score[labelled], labels[labelled])
            losses['recall@thr=0.5'] = recall
            losses['prec@thr=0.5'] = precision
            for k, recall, precision in zip(self.topk, recalls, precisions):
                losses[f'recall@top{k}'] = recall
                losses[f'prec@top{k}'] = precision
        if self.multilabel:
            loss = F.binary_cross_entropy_with_logits(
                cls_score, labels, reduction='none')
        else:
            labels = labels / labels.sum(1, keepdim=True).clamp(min=1)
            loss = F.cross_entropy(
                cls_score, labels, reduction='none')[:, None]
        loss = self.focal_alpha * (1 -
                                   torch.exp(-loss))**self.focal_gamma * loss
        if not (self.negatives and self.multilabel):
            loss = loss[labelled]
        # A mean over no boxes would be NaN.
        losses['loss_action_cls'] = loss.sum() / max(loss.numel(), 1)
        return dict(loss_bbox=losses, bbox_targets=targets)

    def _predict_by_feat_single(self, roi: Tensor, cls_score: Tensor,
                                img_meta: Dict,
                                rcnn_test_cfg: Optional[ConfigDict] = None,
                                **kwargs) -> InstanceData:
        """Scores of a clip's boxes (N, 5), batch index and pixels.

        Returns:
            InstanceData: ``bboxes`` (N, 4), shares of the image: the
            proposals as they came where ``orig_proposals`` is in the
            metainfo, whatever the pipeline did to the image, else mapped
            back; ``scores`` (N, num_classes), class 0 being 0.
        """
        # Class 0 gets probability 0 under sigmoid and softmax alike.
        cls_score = F.pad(cls_score, (1, 0), value=float('-inf'))
        results = super()._predict_by_feat_single(
            roi.clone(), cls_score, img_meta, rcnn_test_cfg, **kwargs)
        orig = img_meta.get('orig_proposals')
        if orig is not None:
            if len(orig) != len(roi):
                raise ValueError(
                    f'{img_meta.get("img_key")}: {len(roi)} boxes were '
                    f'scored, but there are {len(orig)} proposals: in '
                    'testing, no transform may drop or add boxes')
            results.bboxes = roi.new_tensor(orig).reshape(-1, 4)
        return results
