# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmaction.evaluation import AccMetric
from mmaction.registry import METRICS
from mmengine.logging import print_log


@METRICS.register_module()
class VideoAccMetric(AccMetric):
    """Accuracy of videos whose clips were scored one by one.

    The scores of all labelled clips of one video are averaged, of one
    labelled segment of a video where samples carry a ``segment_id``, and the
    averages compared with the labels. Clips labelled -1 count in nothing.
    Which process or batch scored a clip makes no difference: scores are
    summed in the order of the video, in float64.

    Every clip must come exactly once, as it does with
    ``StreamBatchSampler``, or ``DefaultSampler(shuffle=False)`` with
    ``round_up=False`` or on one process.

    Args:
        metric_list (str | Sequence[str]): Names of the measures:
            'top_k_accuracy', 'mean_class_accuracy', and for labels that are
            many-hot vectors 'mean_average_precision' and
            'mmit_mean_average_precision'. Defaults to
            ``('top_k_accuracy', 'mean_class_accuracy')``, which report
            ``top1``, ``top5`` and ``mean1``.
        metric_options (dict, optional): Options of the measures. None means
            ``dict(top_k_accuracy=dict(topk=(1, 5)))``. A k above the number
            of classes counts as the number of classes. Defaults to None.
        average (str): What is averaged. 'prob': probabilities; a clip's
            scores go through a softmax first unless they are probabilities
            already, that is, from 0 to 1 with sum 1. 'score': the scores as
            they come, for instance of a head with sigmoid. Defaults to
            'prob'.
        collect_device (str): 'cpu' or 'gpu', where results of several
            processes are collected. Defaults to 'cpu'.
        prefix (str, optional): Goes before the names of the measures. None
            means 'acc'. Defaults to None.

    Raises:
        ValueError: If an argument is out of its range, a sample has no
            ``video_id`` or ``timestamp``, a clip came twice, the clips of a
            video or segment have different labels, a label is out of range,
            or no clip has a label.
    """

    default_prefix = 'acc'

    _measures = ('top_k_accuracy', 'mean_class_accuracy',
                 'mean_average_precision', 'mmit_mean_average_precision')

    def __init__(self,
                 metric_list: str | Sequence[str] = ('top_k_accuracy',
                                                     'mean_class_accuracy'),
                 metric_options: dict | None = None,
                 average: str = 'prob',
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        if isinstance(metric_list, str):
            metric_list = (metric_list, )
        unknown = [m for m in metric_list if m not in self._measures]
        if unknown:
            raise ValueError(
                f'metric_list holds {unknown}, which is none of '
                f'{list(self._measures)}.')
        if average not in ('prob', 'score'):
            raise ValueError(
                f"average must be 'prob' or 'score', but is {average!r}.")
        if metric_options is None:
            metric_options = {}
        topk = metric_options.get('top_k_accuracy', {}).get('topk', (1, 5))
        topk = (topk, ) if isinstance(topk, int) else tuple(topk)
        if not topk or any(not isinstance(k, int) or k < 1 for k in topk):
            raise ValueError(
                f'topk must be integers of at least 1, but is {topk}.')
        super().__init__(
            # A config read from JSON or YAML has lists, AccMetric wants
            # tuples.
            metric_list=tuple(metric_list),
            collect_device=collect_device,
            metric_options={
                **metric_options, 'top_k_accuracy': {
                    'topk': topk
                }
            },
            prefix=prefix)
        self.average = average
        self._expected = None
        self._warned_topk = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store one result per clip, unlabelled ones included.

        ``BaseMetric.evaluate`` cuts the results of all processes at the
        length of the data set; with one result per sample it cuts none.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): Scored clips, with ``pred_score``
                (num_classes, ), ``gt_label`` (1, ) or (num_classes, ),
                ``video_id``, ``timestamp`` and optionally ``segment_id``.
        """
        for sample in data_samples:
            for key in ('video_id', 'timestamp'):
                if sample.get(key) is None:
                    raise ValueError(
                        f'VideoAccMetric got a sample without `{key}`, so '
                        'it cannot tell which video its scores belong to. '
                        f"Keep '{key}' in the meta_keys of "
                        'PackActionInputs and use a data set whose samples '
                        'have it, such as OnlineVideoDataset. The sample '
                        f'has {sorted(sample)}.')
            scores = sample['pred_score']
            if not isinstance(scores, torch.Tensor) or scores.ndim != 1:
                raise ValueError(
                    '`pred_score` must be a tensor of shape (num_classes, ) '
                    'per clip, but is '
                    f'{getattr(scores, "shape", type(scores).__name__)}.')
            label = sample['gt_label'].cpu().numpy()
            self.results.append({
                'video_id': sample['video_id'],
                'segment_id': sample.get('segment_id') or '',
                'timestamp': int(sample['timestamp']),
                # numpy has no bfloat16.
                'pred': scores.detach().float().cpu().numpy(),
                'label': int(label[0]) if label.size == 1 else label
            })

    def evaluate(self, size: int) -> dict:
        """Collect the clips of all processes and compute the measures.

        Args:
            size (int): Number of clips in the data set. Fewer results are
                worth a warning in the log.

        Returns:
            dict: Measures by name with prefix, e.g. ``acc/top1``, on every
            process.
        """
        self._expected = size
        return super().evaluate(size)

    def compute_metrics(self, results: list[dict]) -> dict:
        """Average the scores of each video or segment and compare.

        Args:
            results (list[dict]): The clips of all processes, as stored by
                :meth:`process`, in any order.

        Returns:
            dict: Measures by name, e.g. ``top1``, ``top5``, ``mean1``.
        """
        if self._expected is not None and len(results) < self._expected:
            print_log(
                f'{len(results)} clips were scored, but the data set has '
                f'{self._expected}. The measures leave the others out.',
                logger='current',
                level=logging.WARNING)
        groups = self._group(results)
        if not groups:
            raise ValueError(
                f'None of the {len(results)} clips has a label, so there is '
                'no accuracy to compute. Check that the annotation file of '
                'the evaluation data holds labels and that samples keep '
                'them.')
        preds, labels, num_broken = [], [], 0
        for key in sorted(groups):
            clips = groups[key]
            labels.append(self._agree_on_label(key, clips))
            scores = [
                self._score(clip['pred']) for clip in clips
                if np.isfinite(clip['pred']).all()
            ]
            num_broken += len(clips) - len(scores)
            if scores:
                preds.append(np.sum(scores, axis=0) / len(scores))
            else:
                preds.append(self._miss(clips[0]['pred'].size, labels[-1]))
        if num_broken:
            print_log(
                f'{num_broken} labelled clips have scores that are not '
                'finite. They are left out of the averages; a video or '
                'segment with no other counts as missed.',
                logger='current',
                level=logging.WARNING)
        num_clips = sum(map(len, groups.values()))
        print_log(
            f'VideoAccMetric: {len(groups)} labelled videos or segments '
            f'from {num_clips} clips, {len(results) - num_clips} clips '
            'without label.',
            logger='current')
        self._check_topk(len(preds[0]))
        return self.calculate(preds, labels)

    @staticmethod
    def _group(results: list[dict]) -> dict[tuple, list[dict]]:
        """Labelled clips by (video, segment), in the order of the video."""
        groups = defaultdict(dict)
        for clip in results:
            key = (clip['video_id'], clip['segment_id'])
            time = clip['timestamp']
            if time in groups[key]:
                raise ValueError(
                    f'The clip at timestamp {time} of video {key[0]!r}'
                    + (f', segment {key[1]!r},' if key[1] else '') +
                    ' was scored twice. Every clip must be evaluated exactly '
                    'once: use batch_sampler=dict(type='
                    "'StreamBatchSampler') with sampler=dict(type="
                    "'DefaultSampler', shuffle=False), or without streams "
                    "dict(type='DefaultSampler', shuffle=False, "
                    'round_up=False).')
            groups[key][time] = clip
        labelled = {}
        for key, clips in groups.items():
            kept = [
                clips[time] for time in sorted(clips)
                if np.min(clips[time]['label']) >= 0
            ]
            if kept:
                labelled[key] = kept
        return labelled

    @staticmethod
    def _agree_on_label(key: tuple, clips: list[dict]) -> int | np.ndarray:
        """The one label of a video or segment."""
        first = clips[0]
        for clip in clips:
            if not np.array_equal(clip['label'], first['label']):
                raise ValueError(
                    f'Video {key[0]!r}, segment {key[1]!r}, has label '
                    f'{first["label"]} at timestamp {first["timestamp"]} '
                    f'but {clip["label"]} at {clip["timestamp"]}. If the '
                    'video has several labelled segments, list '
                    "'segment_id' in the meta_keys of PackActionInputs; if "
                    'not, correct its labels.')
        label, num_classes = first['label'], first['pred'].size
        if np.ndim(label) == 0 and label >= num_classes:
            raise ValueError(
                f'Video {key[0]!r} has label {label}, but the model scores '
                f'{num_classes} classes, so labels end at '
                f"{num_classes - 1}. Correct the label or the head's "
                'num_classes.')
        return label

    def _score(self, pred: np.ndarray) -> np.ndarray:
        """Scores of one clip as they are averaged, float64."""
        pred = pred.astype(np.float64)
        if self.average == 'score':
            return pred
        # Probabilities in half precision miss a sum of 1 by some thousandths.
        if pred.min() >= 0 and abs(pred.sum() - 1) < 0.02:
            return pred
        exps = np.exp(pred - pred.max())
        return exps / exps.sum()

    @staticmethod
    def _miss(num_classes: int, label: int | np.ndarray) -> np.ndarray:
        """Scores that put the right classes last."""
        scores = np.zeros(num_classes)
        if np.ndim(label) == 0:
            scores[label] = -1
        else:
            scores[label > 0] = -1
        return scores

    def _check_topk(self, num_classes: int) -> None:
        """Say once that a k above the number of classes is always right."""
        topk = self.metric_options['top_k_accuracy']['topk']
        if ('top_k_accuracy' in self.metrics and max(topk) > num_classes
                and not self._warned_topk):
            self._warned_topk = True
            print_log(
                f'topk={topk} asks for more than the {num_classes} classes '
                f'there are; top{max(topk)} counts as top{num_classes}, '
                'which is always 1.',
                logger='current',
                level=logging.WARNING)
