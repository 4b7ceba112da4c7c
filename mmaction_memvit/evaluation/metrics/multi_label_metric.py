# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import METRICS

from ...annotations.charades import CLASS_FILE
from ...annotations.class_names import read_class_names
from ...messages import check_choice
from ..functional import evaluate_multi_label
from ..keyed import KeyedMetric, is_probability, to_numpy

# So many samples are looked at to tell softmax from logits.
_ENOUGH = 8


@METRICS.register_module()
class MultiLabelMAPMetric(KeyedMetric):
    """mAP of videos that have several labels each, as Charades.

    The head must hand over the logits of every view: ``average_clips=None``,
    so that ``pred_score`` is (views, num_classes). Of MMAction2's heads 'prob'
    is softmax, and 'score' averages logits over views before anybody can take
    their maximum. Both are errors here, as far as they can be seen: 'prob'
    always, 'score' if the metainfo has ``num_clips`` above 1 and ``clip_len``.

    Measures are ``mAP`` over all videos, such without actions being negatives,
    ``mAP_labelled`` over those that have actions, and ``classes``, how many
    classes these are means of; see :func:`evaluate_multi_label`.

    Args:
        view_pooling (str): Of the views of a video: 'max', the protocol of
            SlowFast for Charades, or 'mean', of what sigmoid makes of the
            logits. Defaults to 'max'.
        scores (str): What the head gives: 'logit', or 'prob' if it applies a
            sigmoid itself. Defaults to 'logit'.
        class_names (str | Sequence[str], optional): Names for the table, or a
            file with one on each line, see :func:`read_class_names`. Defaults
            to None: numbers only.
        **kwargs: Arguments of :class:`KeyedMetric`; the prefix is
            'multi_label'.
    """

    default_prefix = 'multi_label'
    unit = 'videos'
    needs_all = True

    def __init__(self, view_pooling: str = 'max', scores: str = 'logit',
                 class_names: str | Sequence[str] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice('view_pooling', view_pooling, ('max', 'mean'))
        check_choice('scores', scores, ('logit', 'prob'))
        self._names_from = 'class_names'
        if isinstance(class_names, str):
            self._names_from += f'={class_names!r}'
            class_names = read_class_names(
                class_names, f'unpack {CLASS_FILE} of the official '
                'annotations (Charades.zip) there, or do without names by '
                'class_names=None')
        self.view_pooling = view_pooling
        self.scores = scores
        self.class_names = class_names

    def result_of(self, sample: dict) -> tuple[tuple, dict]:
        """Pooled scores and label of a video, and whether it seems a softmax.

        A sample has ``pred_score`` (views, num_classes) or (num_classes, ),
        ``gt_label`` (num_classes, ) of zeros and ones, ``video_id`` and
        optionally ``num_clips`` and ``clip_len``.
        """
        name = self.field(sample, 'video_id')
        scores = self.scores_of(sample, 2, 1)
        # Without clips of several frames, num_clips are the frames of one.
        if scores.ndim == 1 and (sample.get('clip_len') or 1) > 1 and (
                sample.get('num_clips') or 1) > 1:
            raise ValueError(
                f'Video {name!r} has {sample["num_clips"]} clips, but one row '
                'in `pred_score`: the head has averaged them. Set '
                'average_clips=None there, so that the metric pools views.')
        scores = np.atleast_2d(to_numpy(scores, torch.float64))
        self._check_names(scores.shape[1])
        return (name, ), {'pred': self._pool(name, scores),
                          'label': self._label(name, sample, scores.shape[1]),
                          'softmax': is_probability(scores, 0.01)}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Stores one result per video; see :meth:`result_of`."""
        super().process(data_batch, data_samples)
        if len(self.results) >= _ENOUGH:
            # Better now than after hours of testing.
            self._check_no_softmax([x for _, x in self.results[:_ENOUGH]])

    def measure(self, found: dict[tuple, dict]) -> dict[str, float]:
        """``mAP``, ``mAP_labelled`` and ``classes``."""
        self._check_no_softmax(list(found.values()))
        scores = np.stack([x['pred'] for x in found.values()])
        labels = np.stack([x['label'] for x in found.values()])
        broken = ~np.isfinite(scores).all(1)
        if broken.any():
            bad = [key for key, x in zip(found, broken) if x]
            self.warn(f'{len(bad)} of {len(found)} videos have scores that '
                      f'are not finite: {self.name_keys(bad)}. They are '
                      'ranked last')
            scores[broken] = scores[~broken].min(initial=0) - 1
        report = evaluate_multi_label(scores, labels, self.class_names)
        metrics = report.metrics()
        self.log(
            f'{report.num_videos} videos, {report.num_empty} of them without '
            f'a class; {metrics["classes"]} of {labels.shape[1]} classes '
            f'occur and count in the mean:\n{report.table()}')
        return metrics

    def _check_names(self, num_classes: int) -> None:
        """Raise an error if there are not as many names as classes."""
        num = len(self.class_names or range(num_classes))
        if num != num_classes:
            raise ValueError(
                f'{self._names_from} has {num} names, but scores are of '
                f'{num_classes} classes. Remedy: give one name a class (of '
                f'Charades {CLASS_FILE}, in Charades.zip), set class_names='
                'None, or correct num_classes of the head.')

    def _pool(self, name: str, scores: np.ndarray) -> np.ndarray:
        """One score a class: a logit for 'max', a probability for 'mean'."""
        if self.scores == 'prob' and not ((scores >= 0) & (scores <= 1) |
                                          np.isnan(scores)).all():
            raise ValueError(
                "scores='prob' means that the head applies a sigmoid, but "
                f'scores of {name!r} go from {scores.min():g} to '
                f"{scores.max():g}. Set scores='logit'.")
        if self.view_pooling == 'max':
            # The order of logits is that of what sigmoid makes of them.
            return scores.max(0)
        if self.scores == 'logit':
            scores = torch.from_numpy(scores).sigmoid().numpy()
        return scores.mean(0)

    @staticmethod
    def _label(name: str, sample: dict, num_classes: int) -> np.ndarray:
        """The many-hot label as bools."""
        label = sample.get('gt_label')
        shape = getattr(label, 'shape', None)
        if shape != (num_classes, ) or not torch.isin(
                label, label.new_tensor([0, 1])).all():
            raise ValueError(
                f'`gt_label` of {name!r} must be zeros and ones of shape '
                f'({num_classes}, ), as `pred_score` has, but is {label} of '
                f'shape {shape and tuple(shape)}. Use CharadesDataset, or '
                "multi_class=True in MMAction2's data sets, with num_classes "
                'as in the head.')
        return label.bool().cpu().numpy()

    def _check_no_softmax(self, results: list[dict]) -> None:
        """Raise an error if scores look like softmax over classes."""
        if results and all(x['softmax'] for x in results) and len(
                results[0]['pred']) > 1:
            raise ValueError(
                f'The scores of {len(results)} videos sum to 1 each, as of a '
                'softmax, which lets the labels of a video compete. Set '
                'average_clips=None (and multi_class=True) in the head.')
