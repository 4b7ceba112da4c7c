# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Classes of the head against those of the data."""
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS

from .findings import Finding
from .part import Part
from .run import Run

#: So many samples are asked for their labels.
_MANY = 10000


def _path(run: Run) -> str:
    return f'{run.head.path}.num_classes'


def classes_agree(run: Run) -> Iterator[Finding]:
    """Numbers of classes that the config gives twice, differently."""
    scored = run.num_classes
    if not isinstance(scored, int):
        return
    told = set()
    for loader, dataset in run.data_sets():
        numbers = {'num_classes': dataset.get('num_classes')}
        classes = (dataset.get('metainfo') or {}).get('classes')
        # Of boxes, class 0 is nobody's.
        if classes and not run.model.is_a('FastRCNN'):
            numbers['metainfo.classes'] = len(classes)
        for option, number in numbers.items():
            if (isinstance(number, int) and number != scored
                    and number not in told):
                told.add(number)
                yield Finding(
                    _path(run), f'num_classes={scored}, but '
                    f'{loader.path}.dataset.{option} says {number}',
                    f'{_path(run)}={number}')


def tasks_agree(run: Run) -> Iterator[Finding]:
    """Classes of verbs and nouns, in head and metric."""
    scored = run.num_classes
    if not isinstance(scored, dict):
        return
    for loader in run.evaluations:
        for metric in run.metrics.get(loader.mode, ()):
            for task, option in (('verb', 'num_verbs'), ('noun', 'num_nouns')):
                number = metric.get(option)
                if task in scored and number not in (None, scored[task]):
                    yield Finding(
                        f'{_path(run)}.{task}', f'{scored[task]} classes of '
                        f'{task}, but {metric.path}.{option}={number}',
                        f'{_path(run)}.{task}={number}, or '
                        f'{metric.path}.{option}={scored[task]}')


def labels_fit_loss(run: Run) -> Iterator[Finding]:
    """Several labels a sample for a loss that takes one."""
    head = run.head
    loss = head and head.child('loss_cls', MODELS)
    if loss is None:
        return
    for loader in run.loaders:
        if loader.mode != 'train' or not loader.dataset.get('multi_class'):
            continue
        if loss.is_a('CrossEntropyLoss'):
            yield Finding(
                f'{head.path}.loss_cls', 'samples have several labels '
                f'(multi_class=True), but {loss} is a softmax over classes',
                f'{head.path}.loss_cls=dict(type='
                f"'BCELossWithLogits'), {head.path}.multi_class=True")


CHECKS = (classes_agree, tasks_agree, labels_fit_loss)


# What only data that is there can tell.


def labels_are_scored(run: Run) -> Iterator[Finding]:
    """Labels beyond the head's classes, or far fewer of them."""
    scored = run.num_classes
    if not isinstance(scored, int) or run.model.is_a('FastRCNN') or \
            run.head.get('label_column') is not None:
        # Of labels with several columns a head that chooses one knows more.
        return
    highest = {}
    for loader in run.loaders:
        labels = [x for dataset in loader.datasets for x in _labels(dataset)]
        classes = {c for x in labels for c in _classes(x)}
        if classes:
            highest[loader.mode] = max(classes)
    for mode, label in highest.items():
        if label >= scored:
            yield Finding(
                _path(run), f'num_classes={scored}, but labels of the {mode} '
                f'data go up to {label}', f'{_path(run)}={label + 1}')
            return
    top = highest.get('train')
    stated = [x.get('num_classes') for _, x in run.data_sets()]
    if top is not None and top + 1 < scored and scored not in stated:
        yield Finding(
            _path(run), f'num_classes={scored}, but labels of the train data '
            f'end at {top}: {scored - top - 1} classes are never seen',
            f'{_path(run)}={top + 1}, or if the list is a part of a larger '
            f'one train_dataloader.dataset.num_classes={scored}', False)


def something_is_learnt(run: Run) -> Iterator[Finding]:
    """Training samples of which none has a label: the loss would be 0."""
    loader = run.loader('train')
    if loader is None or run.model.is_a('FastRCNN'):
        return
    num = 0
    for dataset in loader.datasets:
        data = dataset.value
        for i in range(len(data) if hasattr(data, 'get_data_info') else 0):
            label = data.get_data_info(i).get('label')
            # Nearly always the first.
            if label is not None and _is_annotated(label):
                return
            num += label is not None
    if num:
        yield Finding(
            f'{loader.path}.dataset', f'none of the {num} samples '
            'has a label: there is nothing to learn',
            f'a list, or label files, with labels in {loader.path}.dataset')


def _labels(dataset: Part) -> list:
    """Labels of a data set's samples, of many of them if there are more."""
    data = dataset.value
    if not hasattr(data, 'get_data_info'):
        return []
    step = max(1, -(-len(data) // _MANY))
    labels = [data.get_data_info(i).get('label')
              for i in range(0, len(data), step)]
    return [x for x in labels if x is not None]


def _is_annotated(label: Any) -> bool:
    """Whether a label, as far as its form is known, names a class."""
    if isinstance(label, torch.Tensor) and label.is_floating_point():
        return bool((label > 0).any())
    if isinstance(label, np.ndarray):
        return label.dtype.kind != 'i' or bool((label >= 0).any())
    known = isinstance(label, (int, np.integer, torch.Tensor, list, tuple))
    return not known or any(True for _ in _classes(label))


def labels_fit_scores(run: Run) -> Iterator[Finding]:
    """Another number of labels, or of classes in each, than of scores."""
    scored, head = run.num_classes, run.head
    if isinstance(scored, dict):
        scored = sum(scored.values())
    for loader, dataset in run.data_sets():
        if (not dataset.is_ours or head is None or head.is_stranger
                or not isinstance(scored, int) or loader.mode != 'train'):
            continue
        info = dataset.value.get_data_info(0)
        label = info.get('label')
        if not isinstance(label, torch.Tensor):
            continue
        if label.is_floating_point() and label.shape[-1] != scored:
            yield Finding(
                _path(run), f'num_classes={scored}, but labels of '
                f'{loader.path}.dataset are of {label.shape[-1]} classes',
                f'{_path(run)}={label.shape[-1]}, or other labels')
        num = len(info.get('token_times', ()))
        clipwise = [x for x in run.model_parts()
                    if x.get('per_frame') is False]
        if num > 1 and clipwise:
            path = f'{clipwise[0].path}.per_frame'
            yield Finding(
                path, 'per_frame=False gives one score a step, but steps of '
                f'{loader.path}.dataset have {num} labels', f'{path}=True')
        elif num > 1 and not getattr(head.cls, 'takes_unlabelled', False):
            yield Finding(
                head.path, f'{head} gives one score a step, but steps of '
                f'{loader.path}.dataset have {num} labels',
                f"{head.path}.type='FrameLevelHead'")


def _classes(label: Any) -> Iterator[int]:
    if isinstance(label, (int, np.integer)):
        if label >= 0:
            yield int(label)
    elif isinstance(label, torch.Tensor):
        # Of several temporal places; floats are shares of all classes.
        if not label.is_floating_point():
            yield from label[label >= 0].unique().tolist()
    elif isinstance(label, (list, tuple)):
        for x in label:
            yield from _classes(x)


def boxes_meet_proposals(run: Run) -> Iterator[Finding]:
    """Labelled boxes and proposals that lie elsewhere."""
    for loader, dataset in run.data_sets():
        misfit = getattr(dataset.value, 'misfit', '')
        if misfit:
            option = f'{loader.path}.dataset.proposal_file'
            yield Finding(option, misfit, 'the file whose boxes lie wrong on '
                          'the pictures that tools/visualize_detections.py '
                          'draws', False)


def streams_go_on(run: Run) -> Iterator[Finding]:
    """Positions so far apart, or so few, that no stream goes on."""
    if not run.with_memory:
        return
    max_gap = run.model.value.banks['train'].max_gap
    for loader in run.loaders:
        if not loader.is_stream or not hasattr(loader.dataset.value,
                                               'stream_keys'):
            continue
        steps = position_steps(loader.dataset.value.stream_keys())
        path = f'{loader.path}.dataset'
        if not len(steps):
            yield Finding(
                path, 'every video has one clip: there is nothing to '
                'remember', f'longer videos, or a shorter clip in {path}',
                False)
        elif steps.min() > max_gap:
            yield Finding(
                'model.max_gap', f'max_gap={max_gap}, but clips in '
                f'{loader.path} are {steps.min()} positions apart or more: '
                'no clip continues a stream',
                f'model.max_gap={int(np.median(steps))}')
        elif np.mean(steps > max_gap) > 0.5:
            yield Finding(
                'model.max_gap', f'max_gap={max_gap}, but '
                f'{np.mean(steps > max_gap):.0%} of the clips in '
                f'{loader.path} are farther from the one before',
                f'model.max_gap={int(np.percentile(steps, 90))}', False)


def position_steps(keys: list) -> np.ndarray:
    """Steps of position within videos, of all clips but the first."""
    if not keys:
        return np.zeros(0, int)
    names: dict = {}
    videos = np.asarray([names.setdefault(v, len(names)) for v, _ in keys])
    positions = np.asarray([p for _, p in keys])
    order = np.lexsort((positions, videos))
    videos, positions = videos[order], positions[order]
    return np.diff(positions)[np.diff(videos) == 0]


DATA_CHECKS = (something_is_learnt, labels_are_scored, labels_fit_scores,
               streams_go_on, boxes_meet_proposals)
