# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.evaluation import AccMetric
from mmaction.registry import METRICS

from ...messages import check_choice
from ..keyed import KeyedMetric, is_probability, to_numpy


@METRICS.register_module()
class VideoAccMetric(KeyedMetric, AccMetric):
    """Accuracy of videos whose clips were scored one by one.

    The scores of all labelled clips of one video are averaged, of one labelled
    segment of a video where samples carry a ``segment_id``, and the averages
    compared with the labels. Clips labelled -1 count in nothing. Scores are
    summed in the order of the video, in float64. Every clip must come exactly
    once, see :class:`KeyedMetric`.

    Args:
        metric_list (str | Sequence[str]): Names of the measures:
            'top_k_accuracy', 'mean_class_accuracy', and for labels that are
            many-hot vectors 'mean_average_precision' and
            'mmit_mean_average_precision'. Defaults to ``('top_k_accuracy',
            'mean_class_accuracy')``, which report ``top1``, ``top5`` and
            ``mean1``.
        metric_options (dict, optional): Options of the measures. A k above the
            number of classes counts as the number of classes. Defaults to
            None: ``dict(top_k_accuracy=dict(topk=(1, 5)))``.
        average (str): What is averaged. 'prob': probabilities; a clip's scores
            go through a softmax first unless they are probabilities already,
            that is, from 0 to 1 with sum 1. 'score': the scores as they come,
            for instance of a head with sigmoid. Defaults to 'prob'.
        **kwargs: Arguments of :class:`KeyedMetric`; the prefix is 'acc'.
    """

    default_prefix = 'acc'
    unit = 'clips'

    _measures = ('top_k_accuracy', 'mean_class_accuracy',
                 'mean_average_precision', 'mmit_mean_average_precision')

    def __init__(self,
                 metric_list: str | Sequence[str] = ('top_k_accuracy',
                                                     'mean_class_accuracy'),
                 metric_options: dict | None = None, average: str = 'prob',
                 **kwargs: Any) -> None:
        if isinstance(metric_list, str):
            metric_list = (metric_list, )
        for measure in metric_list:
            check_choice('metric_list', measure, self._measures)
        check_choice('average', average, ('prob', 'score'))
        metric_options = metric_options or {}
        topk = metric_options.get('top_k_accuracy', {}).get('topk', (1, 5))
        topk = (topk, ) if isinstance(topk, int) else tuple(topk)
        super().__init__(
            # A config of JSON or YAML has lists, AccMetric wants tuples.
            metric_list=tuple(metric_list),
            metric_options={**metric_options,
                            'top_k_accuracy': {'topk': topk}},
            **kwargs)
        self.average = average
        self._warned_topk = False

    def result_of(self, sample: dict) -> tuple[tuple, dict]:
        """Scores and label of a clip, also of one without label.

        A sample has ``pred_score`` (num_classes, ), or (1, num_classes) of
        clips with one temporal place, ``gt_label`` (1, ) or (num_classes, ),
        ``video_id``, ``timestamp`` and optionally ``segment_id``.
        """
        key = (self.field(sample, 'video_id'), sample.get('segment_id') or '',
               int(self.field(sample, 'timestamp')))
        label = sample['gt_label'].cpu().numpy()
        pred = sample.get('pred_score')
        if getattr(pred, 'ndim', 0) == 2 and len(pred) == 1:
            sample = {**sample, 'pred_score': pred[0]}
        return key, {'pred': to_numpy(self.scores_of(sample, 1).float()),
                     'label': int(label[0]) if label.size == 1 else label}

    def measure(self, found: dict[tuple, dict]) -> dict[str, float]:
        """Averages the scores of each video or segment and compares."""
        groups = defaultdict(dict)
        for (video, segment, time), clip in found.items():
            if np.min(clip['label']) >= 0:
                groups[video, segment][time] = clip
        if not groups:
            raise ValueError(
                f'None of the {len(found)} clips has a label. Check that the '
                'annotation file holds labels, and that samples keep them.')
        preds, labels, num_broken = [], [], 0
        for key, clips in groups.items():
            labels.append(self._agree_on_label(key, clips))
            scores = [self._score(clip['pred']) for clip in clips.values()
                      if np.isfinite(clip['pred']).all()]
            num_broken += len(clips) - len(scores)
            if scores:
                preds.append(np.sum(scores, axis=0) / len(scores))
            else:
                size = next(iter(clips.values()))['pred'].size
                preds.append(self._miss(size, labels[-1]))
        if num_broken:
            self.warn(f'{num_broken} labelled clips have scores that are not '
                      'finite. They are left out of the averages; a video or '
                      'segment with no other counts as missed')
        num_clips = sum(map(len, groups.values()))
        self.log(f'{len(groups)} labelled videos or segments from {num_clips} '
                 f'clips, {len(found) - num_clips} clips without label')
        topk = self.metric_options['top_k_accuracy']['topk']
        if ('top_k_accuracy' in self.metrics and max(topk) > len(preds[0])
                and not self._warned_topk):
            self._warned_topk = True
            self.warn(
                f'topk={topk} asks for more than the {len(preds[0])} classes '
                f'there are; top{max(topk)} is always 1')
        return self.calculate(preds, labels)

    @staticmethod
    def _agree_on_label(key: tuple,
                        clips: dict[int, dict]) -> int | np.ndarray:
        """The one label of a video or segment."""
        begin, first = next(iter(clips.items()))
        for time, clip in clips.items():
            if not np.array_equal(clip['label'], first['label']):
                raise ValueError(
                    f'Video {key[0]!r}, segment {key[1]!r}, has label '
                    f'{first["label"]} at timestamp {begin} but '
                    f'{clip["label"]} at {time}. Correct its labels, or if it '
                    "has several labelled segments, list 'segment_id' in the "
                    'meta_keys of PackActionInputs.')
        label, num_classes = first['label'], first['pred'].size
        if np.ndim(label) == 0 and label >= num_classes:
            raise ValueError(
                f'Video {key[0]!r} has label {label}, but the model scores '
                f'{num_classes} classes: labels end at {num_classes - 1}. '
                "Correct the label or the head's num_classes.")
        return label

    def _score(self, pred: np.ndarray) -> np.ndarray:
        """Scores of one clip as they are averaged, float64."""
        pred = pred.astype(np.float64)
        if self.average == 'score' or is_probability(pred):
            return pred
        exps = np.exp(pred - pred.max())
        return exps / exps.sum()

    @staticmethod
    def _miss(num_classes: int, label: int | np.ndarray) -> np.ndarray:
        """Scores that put the right classes last."""
        scores = np.zeros(num_classes)
        scores[label if np.ndim(label) == 0 else label > 0] = -1
        return scores
