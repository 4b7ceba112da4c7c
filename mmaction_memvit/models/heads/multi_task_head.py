# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
from typing import Dict, Optional, Sequence

import torch
from mmaction.registry import MODELS
from mmaction.utils import ConfigType, OptConfigType, SampleList
from mmengine.model import BaseModule, ModuleDict
from torch import Tensor

from .frame_level_head import labelled_loss


@MODELS.register_module()
class MultiTaskHead(BaseModule):
    """Several classifiers on the same features, one head for each task.

    The heads are MMAction2's own or :class:`FrameLevelHead`, so whatever
    model has a head for one task can have several: TSN, SlowFast, MViT,
    VideoMAE, MeMViT. ``gt_label`` holds one label for each task, -1 where
    it is not known, in the order of ``label_order``: shape (3, ) for a clip,
    (T', 3) for the temporal tokens of one; or float shares of the classes of
    all tasks in a row, as blending gives them, (sum of classes, ) or (T', sum
    of classes), zeros where not known. A task none of whose labels is known
    has a loss of zero.

    Losses and accuracies are ``verb_loss_cls``, ``verb_top1_acc`` and so on;
    ``pred_score`` is a dict of scores by task.

    Args:
        num_classes (dict): Number of classes by task, e.g.
            ``dict(verb=97, noun=300)``; the tasks to be learnt, in the order
            of ``label_order``.
        head (dict): Config of a head without ``num_classes``.
        task_options (dict, optional): What differs in a task's head from
            ``head``, by task, e.g. its ``loss_cls``. Defaults to None.
        loss_weights (dict, optional): Factors of losses by task. Defaults to
            None: 1.
        label_order (Sequence[str]): What the labels of ``gt_label`` are.
            Defaults to ``('verb', 'noun', 'action')``.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: If an option or a task has no place in ``label_order`` or
            ``num_classes``, or the head remembers, as AVTHead; in training if
            labels do not fit.

    Examples:
        >>> import torch
        >>> from mmaction_memvit.models import MultiTaskHead
        >>> head = MultiTaskHead(
        ...     num_classes=dict(verb=97, noun=300),
        ...     head=dict(type='mmaction.SlowFastHead', in_channels=2304))
        >>> feats = torch.rand(2, 2048, 4, 7, 7), torch.rand(2, 256, 32, 7, 7)
        >>> {task: tuple(x.shape) for task, x in head(feats).items()}
        {'verb': (2, 97), 'noun': (2, 300)}
    """
    # Says to OnlineRecognizer3D that labels of -1 may come.
    takes_unlabelled = True

    def __init__(self, num_classes: Dict[str, int], head: ConfigType,
                 task_options: Optional[Dict[str, dict]] = None,
                 loss_weights: Optional[Dict[str, float]] = None,
                 label_order: Sequence[str] = ('verb', 'noun', 'action'),
                 init_cfg: OptConfigType = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if not isinstance(num_classes, dict):
            raise ValueError(
                f'num_classes is {num_classes!r}, but must be a dict by task, '
                'such as dict(verb=97, noun=300)')
        tasks = list(num_classes)
        for name, found, known in (
            ('num_classes', tasks, label_order),
            ('task_options', task_options or (), tasks),
            ('loss_weights', loss_weights or (), tasks)):
            strange = [task for task in found if task not in known]
            if strange:
                raise ValueError(f'{name} has {strange}, but the tasks are '
                                 f'{list(known)}')
        if not tasks:
            raise ValueError('num_classes is empty: name at least one of '
                             f'{list(label_order)}')
        self.label_order = tuple(label_order)
        # Not by the config, whose keys MMEngine sorts when it writes it.
        num_classes = {task: num_classes[task] for task in label_order
                       if task in num_classes}
        self.num_classes = num_classes
        self.loss_weights = {task: (loss_weights or {}).get(task, 1.)
                             for task in tasks}
        self.heads = ModuleDict()
        for task, number in num_classes.items():
            cfg = copy.deepcopy(dict(head))
            cfg.update(copy.deepcopy((task_options or {}).get(task, {})))
            built = MODELS.build(dict(cfg, num_classes=number))
            if hasattr(built, 'init_memory'):
                # Its memory would be run by nobody.
                name = type(built).__name__
                raise ValueError(
                    f'{name} cannot be the head of a task, as it remembers. '
                    'Remedy: FrameLevelHead or a head of MMAction2 here, or '
                    f'{name} in place of MultiTaskHead')
            self.heads[task] = built

    def forward(self, x: object, **kwargs) -> Dict[str, Tensor]:
        """Logits by task, as its head gives them."""
        return {task: head(x, **kwargs) for task, head in self.heads.items()}

    def _labels(self, data_samples: SampleList, task: str) -> Tensor:
        """Labels of a task: (B, ...), int; (B, ..., num_classes), float."""
        labels = torch.stack([x.gt_label for x in data_samples])
        sizes = {name: head.num_classes for name, head in self.heads.items()}
        num, total = len(self.label_order), sum(sizes.values())
        shape = tuple(labels.shape)
        if labels.is_floating_point():
            if shape[-1] != total:
                raise ValueError(
                    f'float labels have shape {shape}, but must be '
                    f'(clips, {total}) or (clips, tokens, {total}), the '
                    f'classes of {sizes} in a row. To blend clips, use '
                    'MultiTaskBatchAugment, which knows that there are '
                    'several tasks')
            parts = labels.split(tuple(sizes.values()), dim=-1)
            return parts[list(sizes).index(task)]
        if labels.dim() < 2 or shape[-1] != num:
            raise ValueError(
                f'labels have shape {shape}, but must be (clips, {num}) or '
                f'(clips, tokens, {num}), one for each of '
                f'{list(self.label_order)}')
        labels = labels[..., self.label_order.index(task)]
        if labels.numel() and int(labels.max()) >= sizes[task]:
            raise ValueError(
                f'label {int(labels.max())} of {task} is out of range: there '
                f'are {sizes[task]} classes; correct num_classes of the head '
                'or of the data set')
        return labels

    def loss(self, feats: object, data_samples: SampleList, **kwargs) -> Dict:
        """Losses and accuracies of all tasks, each over what is labelled.

        ``feats`` are as the heads take them.
        """
        losses = dict()
        for task, scores in self(feats, **kwargs).items():
            device = scores.device
            labels = self._labels(data_samples, task).to(device)
            # In full precision, which losses and accuracies are meant for.
            with torch.autocast(device.type, enabled=False):
                found = labelled_loss(
                    self.heads[task].loss_by_feat, scores.float(), labels)
            for name, value in found.items():
                if 'loss' in name:
                    value = value * self.loss_weights[task]
                losses[f'{task}_{name}'] = value
        return losses

    def predict(self, feats: object, data_samples: SampleList,
                **kwargs) -> SampleList:
        """Scores of all tasks, views averaged as each head says.

        Returns:
            list[ActionDataSample]: With ``pred_score``, a dict of scores by
            task, (num_classes, ) or (T', num_classes).
        """
        preds = [dict() for _ in data_samples]
        for task, scores in self(feats, **kwargs).items():
            scores = self.heads[task].average_clip(
                scores.float(), num_segs=len(scores) // len(data_samples))
            for pred, score in zip(preds, scores):
                pred[task] = score
        for sample, pred in zip(data_samples, preds):
            sample.set_pred_score(pred)
        return data_samples
