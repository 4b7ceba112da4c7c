# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch
from mmaction.models.losses import BaseWeightedLoss
from mmaction.registry import MODELS
from torch import Tensor

from .class_counts import CountSource, as_targets, load_class_counts


@MODELS.register_module()
class ClassBalancedLoss(BaseWeightedLoss):
    """Cross entropy weighted by effective numbers of samples.

    From `Class-Balanced Loss Based on Effective Number of Samples
    <https://arxiv.org/abs/1901.05555>`_: a class with n samples weighs
    (1 - beta) / (1 - beta^n). Beta 0 is plain cross entropy, beta towards 1
    weighs by 1 / n. Weights have a mean of 1 over the classes that occur; a
    class that does not weighs as one that occurs once. The mean is over
    samples (the paper's), not over weights.

    Args:
        class_counts (Sequence[int] | str | dict): See
            :func:`load_class_counts`.
        beta (float): From 0 to below 1. Defaults to 0.999.
        loss_weight (float): Defaults to 1.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, class_counts: CountSource, beta: float = 0.999,
                 loss_weight: float = 1.) -> None:
        super().__init__(loss_weight=loss_weight)
        if not 0 <= beta < 1:
            raise ValueError(f'beta is {beta}, but must be at least 0 and '
                             'below 1')
        counts = torch.tensor(
            load_class_counts(class_counts), dtype=torch.float64)
        weights = (1 - beta) / (1 - beta**counts.clamp(min=1))
        weights /= weights[counts > 0].mean()
        self.register_buffer('weights', weights.float(), persistent=False)

    def _forward(self, cls_score: Tensor, label: Tensor) -> Tensor:
        """Mean loss of logits (N, C) for classes (N, ) or shares (N, C)."""
        target = as_targets(cls_score, label, len(self.weights))
        logs = cls_score.log_softmax(1)
        return -(self.weights * target * logs).sum(1).mean()
