# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What metrics expect of loaders and heads."""
import os.path as osp
from collections.abc import Iterator
from typing import Optional

import numpy as np

from mmaction_memvit.messages import first_names

from .findings import Finding
from .part import Part
from .pipelines import shows_features
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


def metrics_fit_head(run: Run) -> Iterator[Finding]:
    """Scores of another form than the metric takes."""
    head = run.head
    if head is None:
        return
    for loader, metric in _pairs(run):
        found = _misfit(run, head, metric, loader.dataset)
        if found:
            problem, change = found
            yield Finding(metric.path, problem, change)


def _misfit(run: Run, head: Part, metric: Part,
            dataset: Part) -> Optional[tuple[str, str]]:
    boxes = run.model.is_a('FastRCNN')
    average = head.get('average_clips')
    if metric.is_a('AVADetectionMetric', 'AVAMetric') != boxes and (
            metric.is_ours or boxes and metric.is_a('AccMetric')):
        right = 'AVADetectionMetric' if boxes else 'VideoAccMetric'
        return (f'{metric} does not measure what {run.model} gives',
                f"{metric.path}.type='{right}'")
    if metric.is_a('VideoAccMetric'):
        # A step of features may be one clip.
        tokens = head.is_a('FrameLevelHead') and not all(
            shows_features(x.dataset) for x in run.evaluations)
        if tokens or head.is_a('MultiTaskHead'):
            right = 'EpicRecognitionMetric' if dataset.is_a(
                'EpicVideoDataset', 'EpicDataset') else 'OnlineDetectionMetric'
            return (f'{metric} takes scores of clips, but {head} scores '
                    'several tasks or tokens', f"{metric.path}.type='{right}'")
        if head.is_a('BaseHead') and average is None:
            return (f'average_clips=None in {head.path}: {metric} takes one '
                    'score a clip, not one a view',
                    f"{head.path}.average_clips='prob'")
    if metric.is_a('MultiLabelMAPMetric') and average == 'prob':
        return (f"average_clips='prob' in {head.path} is a softmax over "
                f'classes, but {metric} takes logits of views',
                f'{head.path}.average_clips=None')
    return None


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


def metrics_know_streams(run: Run) -> Iterator[Finding]:
    """Metrics of EPIC-KITCHENS for whole videos or for segments."""
    for loader, metric in _pairs(run):
        if not metric.is_a('EpicRecognitionMetric') or \
                not loader.dataset.is_a('EpicVideoDataset', 'EpicDataset'):
            continue
        online = bool(metric.get('online'))
        if online != loader.is_stream:
            kind = 'clips of whole videos' if loader.is_stream else 'segments'
            yield Finding(
                f'{metric.path}.online', f'online={online}, but '
                f'{loader.dataset} gives {kind}',
                f'{metric.path}.online={loader.is_stream}')
        task = loader.dataset.get('task') or 'recognition'
        anticipates = metric.is_a('EpicAnticipationMetric')
        if anticipates != (task == 'anticipation'):
            right = 'anticipation' if anticipates else 'recognition'
            yield Finding(
                f'{loader.path}.dataset.task', f'task={task!r}, but {metric} '
                f'measures {right}', f'{loader.path}.dataset.task={right!r}')
        elif anticipates and metric.get('tau_a') != loader.dataset.get(
                'tau_a'):
            tau_a = loader.dataset.get('tau_a')
            yield Finding(
                f'{metric.path}.tau_a', f'tau_a={metric.get("tau_a")}, but '
                f'{loader.path}.dataset shows what comes before tau_a={tau_a}',
                f'{metric.path}.tau_a={tau_a}')


def other_videos_are_measured(run: Run) -> Iterator[Finding]:
    """Evaluation on what was trained on."""
    train = run.loader('train')
    if train is None or not run.is_ours:
        return
    own = _file(train.dataset, 'ann_file')
    for loader in run.evaluations:
        if own and own == _file(loader.dataset, 'ann_file') and \
                train.dataset.get('split') == loader.dataset.get('split'):
            yield Finding(
                f'{loader.path}.dataset.ann_file', f'{own} is the list that '
                'training reads: the numbers say nothing about other videos',
                f'another list in {loader.path}.dataset.ann_file', False)


CHECKS = (metrics_count_videos, metrics_fit_head, metrics_fit_data,
          metrics_know_streams, other_videos_are_measured)


def segments_can_be_scored(run: Run) -> Iterator[Finding]:
    """Segments of EPIC-KITCHENS that no sample shows: the metric wants all."""
    for loader, metric in _pairs(run):
        if not metric.is_a('EpicRecognitionMetric') or \
                metric.get('missing') != 'error':
            continue
        names = [x for dataset in loader.datasets if dataset.is_a(
            'EpicVideoDataset') for x in _unseen(dataset, metric)]
        if names:
            yield Finding(
                f'{metric.path}.missing', f"missing='error', but "
                f'{loader.path}.dataset has no sample of {len(names)} '
                'segments, of videos that are not there, or end before: '
                f'{first_names(names)}', 'complete the videos, or '
                f"{metric.path}.missing='leave_out'")


def _unseen(dataset: Part, metric: Part) -> list[str]:
    """Names of segments that are surely not scored."""
    data = dataset.value
    ahead = data.tau_a if data.task == 'anticipation' else 0.
    names: list[str] = []
    if data.left_out is not None:
        # In anticipation the others have nothing to observe.
        lost = data.left_out.starts - ahead > 0
        names += np.asarray(data.left_out.narration_ids)[lost].tolist()
    if dataset.is_a('OnlineEpicDataset'):
        # All tokens end with the video.
        names += data.names_of(data.segments.starts - ahead
                               > data.ends + metric.get('max_distance'))
    elif data.outside_video == 'skip':
        names += data.names_of(data.segments.starts >= data.ends)
    return names


DATA_CHECKS = (segments_can_be_scored, )
