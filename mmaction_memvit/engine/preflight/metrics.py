# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What metrics expect of loaders and heads."""
import os.path as osp
from collections.abc import Iterator
from typing import Optional

from .findings import Finding
from .part import Part
from .run import Loader, Run

#: Options of detection metrics that must be those of the data set.
_ALIKE = ('exclude_file', 'label_file', 'num_classes', 'custom_classes')


def _pairs(run: Run) -> Iterator[tuple[Loader, Part]]:
    for loader in run.evaluations:
        for metric in run.metrics.get(loader.mode, ()):
            # The user's own knows what it measures.
            if not metric.is_stranger:
                yield loader, metric


def metrics_count_videos(run: Run) -> Iterator[Finding]:
    """Metrics that take every clip of a stream for a sample."""
    for loader, metric in _pairs(run):
        if (loader.is_stream and not metric.is_a('KeyedMetric')
                and metric.is_a('AccMetric', 'ConfusionMatrix')
                and loader.dataset.is_ours):
            yield Finding(
                metric.path, f'{metric} counts clips, those without label '
                'too, where videos or segments are meant',
                f"{metric.path} = dict(type='VideoAccMetric')")


def metrics_take_views(run: Run) -> Iterator[Finding]:
    """Views that are averaged where they must not be, or are not."""
    head = run.head
    if head is None or not head.has('average_clips'):
        return
    average = head.get('average_clips')
    for _, metric in _pairs(run):
        if metric.is_a('VideoAccMetric') and average is None:
            yield Finding(
                metric.path, f'average_clips=None in {head.path}: {metric} '
                'takes one score a clip, not one a view',
                f"{head.path}.average_clips='prob'")
        if metric.is_a('MultiLabelMAPMetric') and average == 'prob':
            yield Finding(
                metric.path, f"average_clips='prob' in {head.path} is a "
                f'softmax over classes, but {metric} takes logits of views',
                f'{head.path}.average_clips=None')


def metrics_fit_data(run: Run) -> Iterator[Finding]:
    """Ground truth that is not that of the data."""
    for loader, metric in _pairs(run):
        dataset = loader.dataset
        boxes = metric.is_a('AVADetectionMetric', 'AVAMetric')
        own, other = _file(metric, 'ann_file'), _file(dataset, 'ann_file')
        if (own and other and own != other
                and (boxes or metric.is_a('EpicRecognitionMetric'))):
            yield Finding(
                f'{metric.path}.ann_file', f'{metric} measures against '
                f'{own}, but {loader.path} reads {other}',
                f'{metric.path}.ann_file={other!r}')
        for option in _ALIKE:
            if not (boxes and metric.has(option) and dataset.has(option)):
                continue
            mine, its = metric.get(option), dataset.get(option)
            if option.endswith('_file'):
                mine, its = _file(metric, option), _file(dataset, option)
                # Nothing needs to be left out twice.
                mine, its = mine or its, its or mine
            if _plain(mine) != _plain(its):
                yield Finding(
                    f'{metric.path}.{option}', f'{option}={mine!r}, but '
                    f'{loader.path}.dataset has {option}={its!r}',
                    f'{metric.path}.{option}={its!r}', option != 'label_file')


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (list, tuple)) else value


def _file(part: Part, option: str) -> Optional[str]:
    name = part.get(option)
    if not isinstance(name, str) or not name:
        return None
    root = part.get('data_root') or ''
    if part.is_config and isinstance(root, str):
        name = osp.join(root, name)
    return osp.normpath(name)


def metrics_fit_task(run: Run) -> Iterator[Finding]:
    """Recognition measured on anticipation, and the other way round."""
    for loader, metric in _pairs(run):
        if not metric.is_a('EpicRecognitionMetric') or \
                not loader.dataset.is_a('EpicVideoDataset', 'EpicDataset'):
            continue
        task = loader.dataset.get('task') or 'recognition'
        anticipates = metric.is_a('EpicAnticipationMetric')
        if anticipates != (task == 'anticipation'):
            right = 'anticipation' if anticipates else 'recognition'
            yield Finding(
                f'{loader.path}.dataset.task', f'task={task!r}, but {metric} '
                f'measures {right}', f'{loader.path}.dataset.task={right!r}')


CHECKS = (metrics_count_videos, metrics_take_views, metrics_fit_data,
          metrics_fit_task)
