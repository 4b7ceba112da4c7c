# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Callable, Dict, Tuple

import torch
import torch.nn as nn
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import ConfigType, SampleList
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor

from mmaction_memvit.messages import check_choice


def labelled_rows(scores: Tensor,
                  labels: Tensor) -> Tuple[Tensor, ActionDataSample]:
    """Scores of what is labelled, in the form ``BaseHead`` takes.

    Args:
        scores (Tensor): Logits, (..., num_classes).
        labels (Tensor): Classes (...), int, negative where nothing is
            annotated; or shares of classes (..., num_classes), float, zero
            where nothing is annotated.

    Returns:
        tuple[Tensor, ActionDataSample]: Scores of the N labelled rows, and
        all of their labels as one sample.

    Raises:
        ValueError: If there are not as many labels as scores.
    """
    shares, num_classes = labels.is_floating_point(), scores.shape[-1]
    wide = shares and labels.shape[-1] != num_classes
    if wide or labels.numel() != scores.numel() // (
            1 if shares else num_classes):
        remedy = (
            f'num_classes={labels.shape[-1]}, or other labels' if wide else
            'per_frame=True of the neck; of a backbone num_tokens of the data '
            'set, clip_len / temporal stride')
        raise ValueError(
            f'labels have shape {tuple(labels.shape)}, but scores '
            f'{tuple(scores.shape)}: FrameLevelHead needs one label for each '
            f'temporal token of the model, other heads one for a clip. '
            f'Remedy: {remedy}')
    scores = scores.flatten(0, -2)
    labels = labels.flatten(0, -2) if shares else labels.flatten()
    keep = labels.sum(-1) > 0 if shares else labels >= 0
    return scores[keep], ActionDataSample(gt_label=labels[keep])


def labelled_loss(loss_by_feat: Callable, scores: Tensor,
                  labels: Tensor) -> Dict[str, Tensor]:
    """What a head makes of the rows of :func:`labelled_rows`.

    Zero, with a graph, if there are none: other processes expect gradients.
    """
    rows, sample = labelled_rows(scores, labels)
    if not len(rows):
        return dict(loss_cls=rows.sum())
    return loss_by_feat(rows, [sample])


@MODELS.register_module()
class FrameLevelHead(BaseHead):
    """Scores of every temporal token of a clip.

    The class token is dropped, height and width are averaged; then dropout
    and a linear layer. Labels are per token, ``gt_label`` of shape (T', ),
    -1 where nothing is annotated; or shares of classes (T', num_classes), for
    tokens of several, zero where nothing is annotated. For several tasks see
    :class:`MultiTaskHead`.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the features.
        loss_cls (dict): Defaults to ``dict(type='CrossEntropyLoss')``.
        dropout_ratio (float): Before the classifier. Defaults to 0.5.
        init_std (float): Of the classifier's weights. Defaults to 0.02.
        average_clips (str): What is averaged over the views of a clip:
            'prob', probabilities, or 'score', logits. Defaults to 'prob'.
        **kwargs: For ``BaseHead``.

    Raises:
        ValueError: If ``average_clips`` is neither.
    """
    # Says to OnlineRecognizer3D that labels of -1 may come.
    takes_unlabelled = True

    def __init__(self, num_classes: int, in_channels: int,
                 loss_cls: ConfigType = dict(  # noqa: B006
                     type='CrossEntropyLoss'),
                 dropout_ratio: float = 0.5, init_std: float = 0.02,
                 average_clips: str = 'prob', **kwargs) -> None:
        check_choice('average_clips', average_clips, ('prob', 'score'))
        super().__init__(num_classes, in_channels, loss_cls,
                         average_clips=average_clips, **kwargs)
        self.dropout = nn.Dropout(dropout_ratio)
        self.init_std = init_std
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Initialise the classifier."""
        trunc_normal_(self.fc_cls.weight, std=self.init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, x: object, **kwargs) -> Tensor:
        """Logits of the tokens, (B, T', num_classes).

        ``x`` are features (B, C, T', H', W'), or the output of a backbone such
        as :class:`MeMViT`: the last scale counts, of ``[patch, cls]`` the
        patch.
        """
        if isinstance(x, tuple):
            x = x[-1]
        if isinstance(x, (list, tuple)):
            x = x[0]
        x = x.mean((3, 4)).transpose(1, 2)
        return self.fc_cls(self.dropout(x))

    def loss_by_feat(self, cls_scores: Tensor,
                     data_samples: SampleList) -> Dict:
        """Loss over the labelled tokens, and accuracies if there are any.

        Scores are (B, T', num_classes), ``gt_label`` of each clip (T', ), or
        float (T', num_classes).
        """
        labels = torch.stack([x.gt_label for x in data_samples])
        return labelled_loss(super().loss_by_feat, cls_scores,
                             labels.to(cls_scores.device))

    def average_clip(self, cls_scores: Tensor, num_segs: int = 1) -> Tensor:
        """Average of ``num_segs`` views a clip: (B, T', num_classes)."""
        if self.average_clips == 'prob':
            cls_scores = cls_scores.softmax(-1)
        return cls_scores.unflatten(0, (-1, num_segs)).mean(1)
