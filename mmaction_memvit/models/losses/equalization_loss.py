# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch
from mmaction.models.losses import BaseWeightedLoss
from mmaction.registry import MODELS
from torch import Tensor

from .class_counts import CountSource, as_targets, load_class_counts


@MODELS.register_module()
class EqualizationLoss(BaseWeightedLoss):
    """Softmax equalisation loss: rare classes are not pushed down.

    From `Equalization Loss for Long-Tailed Object Recognition
    <https://arxiv.org/abs/2003.05176>`_, its form for classification: cross
    entropy with the softmax exp(z_y) / sum_k w_k exp(z_k), where

    w_k = 1 - beta * T(f_k) * (1 - y_k).

    T is 1 for a rare class, whose share f_k of the training samples is below
    ``threshold``, else 0; beta is 1 with probability ``gamma``, else 0, drawn
    for every sample and class; y is the target. So a sample of another class
    seldom lowers the score of a rare one.

    Args:
        class_counts (Sequence[int] | str | dict): See
            :func:`load_class_counts`.
        threshold (float): Share of the samples below which a class is rare.
            Defaults to 1e-3 (no value is published for EPIC-KITCHENS-100).
        gamma (float): How often rare classes are left out. Defaults to 0.9.
        loss_weight (float): Defaults to 1.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, class_counts: CountSource, threshold: float = 1e-3,
                 gamma: float = 0.9, loss_weight: float = 1.) -> None:
        super().__init__(loss_weight=loss_weight)
        for name, value in (('threshold', threshold), ('gamma', gamma)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}, but must be from 0 to 1')
        counts = torch.tensor(
            load_class_counts(class_counts), dtype=torch.float64)
        self.register_buffer(
            'rare', counts / counts.sum() < threshold, persistent=False)
        self.gamma = gamma

    def _forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """Mean loss of logits (N, C) for classes (N, ) or shares (N, C)."""
        target = as_targets(cls_score, label, len(self.rare))
        drawn = torch.empty_like(target).bernoulli_(self.gamma)
        weights = 1 - drawn * self.rare * (1 - target)
        # The logarithm of 0 takes a class out of the sum.
        total = (cls_score + weights.log()).logsumexp(1, keepdim=True)
        return -(target * (cls_score - total)).sum(1).mean()
