# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a run is made of: model, data loaders, metrics, hooks."""
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Optional

import torch
from mmaction.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    TRANSFORMS,
)
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmaction_memvit.memory.host import remembers

from .part import Part

MODES = ('train', 'val', 'test')
#: Stock data sets whose samples tell video and position.
_KNOW_THEIR_PLACE = ('AVADataset', 'AVAKineticsDataset')


class Loader:
    """A data loader of a mode, or its config, and what it is made of."""

    def __init__(self, mode: str, value: Any) -> None:
        self.mode = mode
        self.part = Part(value, path=f'{mode}_dataloader')
        self.path = self.part.path
        outer = self.part.child('dataset', DATASETS)
        #: What stands around the data sets, such as RepeatDataset.
        self.wrappers: list[Part] = []
        self.datasets = list(self._unwrap(outer)) if outer else []
        self.sampler = self.part.child('sampler', DATA_SAMPLERS)
        self.batch_sampler = self.part.child('batch_sampler', DATA_SAMPLERS)
        if self.batch_sampler and self.batch_sampler.name == 'BatchSampler':
            self.batch_sampler = None
        elif self.batch_sampler and not self.batch_sampler.is_config:
            self.sampler = self.batch_sampler.child('sampler', DATA_SAMPLERS)

    def _unwrap(self, dataset: Part) -> Iterator[Part]:
        for option in ('datasets', 'dataset'):
            if dataset.is_a('ConcatDataset', 'RepeatDataset',
                            'ClassBalancedDataset') and dataset.has(option):
                inner = (
                    dataset.children(option, DATASETS) if option == 'datasets'
                    else [dataset.child(option, DATASETS)])
                self.wrappers.append(dataset)
                for part in inner:
                    yield from self._unwrap(part)
                return
        yield dataset

    @property
    def dataset(self) -> Part:
        """Its first data set."""
        return self.datasets[0]

    @property
    def is_stream(self) -> bool:
        """Whether samples are places in videos that a memory may follow."""
        return all(map(gives_streams, self.datasets))

    @property
    def batch_size(self) -> int:
        """Lanes, or samples, of a process."""
        size = self.part.get('batch_size')
        if size is None and self.batch_sampler is not None:
            size = self.batch_sampler.get('batch_size')
        return size or 1

    def shuffles(self) -> bool:
        """Whether its sampler is in random order."""
        return self.sampler is not None and bool(self.sampler.get('shuffle'))

    def steps(self, dataset: Optional[Part] = None) -> list[Part]:
        """Transforms of a data set (or of the first), inner ones too."""
        return list(_flatten((dataset or self.dataset).children(
            'pipeline', TRANSFORMS)))

    def find(self, *names: str) -> Optional[Part]:
        """The first transform of that name, or derived from it."""
        return next((x for x in self.steps() if x.is_a(*names)), None)


def _flatten(steps: Iterator[Part]) -> Iterator[Part]:
    for step in steps:
        yield step
        if step.has('transforms'):
            yield from _flatten(step.children('transforms', TRANSFORMS))


def gives_streams(dataset: Part) -> bool:
    """Whether samples tell video and position, one clip after the other."""
    if dataset.is_a(*_KNOW_THEIR_PLACE):
        return True
    kind = getattr(dataset.cls, 'batch_sampler', 'StreamBatchSampler')
    return (hasattr(dataset.cls, 'stream_keys')
            and kind == 'StreamBatchSampler')


class Run:
    """All parts of a run, or their configs.

    Data loaders are by mode; metrics, too: one or a list, or an Evaluator.
    """

    def __init__(self, model: Any, loaders: dict[str, Any],
                 metrics: dict[str, Any], hooks: Sequence,
                 cfg: Optional[Mapping[str, Any]] = None) -> None:
        #: The whole config, as far as there is one.
        self.cfg = cfg or {}
        self.model = Part(model, MODELS, 'model')
        self.loaders = [Loader(mode, loaders[mode]) for mode in MODES
                        if loaders.get(mode) is not None]
        self.loaders = [x for x in self.loaders if x.datasets]
        self.metrics = {
            mode: [
                Part(x, METRICS, f'{mode}_evaluator')
                for x in _list_metrics(value)
            ] for mode, value in metrics.items()}
        self.hooks = [Part(x, HOOKS, 'custom_hooks') for x in hooks]
        #: Data loaders of validation and testing.
        self.evaluations = [x for x in self.loaders if x.mode != 'train']
        self.backbone = self.model.child('backbone', MODELS)
        self.preprocessor = self.model.child('data_preprocessor', MODELS)
        roi_head = self.model.child('roi_head', MODELS)
        #: What scores: the classification head, or that of boxes.
        self.head = self.model.child('cls_head', MODELS) or (
            roi_head and roi_head.child('bbox_head', MODELS))
        #: A number, of several tasks a dict.
        self.num_classes = self.head and self.head.get('num_classes')
        #: Whether memories are handed from clip to clip, or are of the clips
        #: of a video.
        self.carries_memory = self.model.is_a('MemoryHost')
        self.shares_memory = self.model.is_a('ClipCollaboration')

    @classmethod
    def of_config(cls, cfg: Config) -> 'Run':
        """A run that a config describes."""
        return cls(cfg.get('model'),
                   {x: cfg.get(f'{x}_dataloader') for x in MODES},
                   {x: cfg.get(f'{x}_evaluator') for x in MODES},
                   cfg.get('custom_hooks') or (), cfg)

    @classmethod
    def of_runner(cls, runner: Runner, modes: Sequence[str] = MODES) -> 'Run':
        """A run that is about to start; builds nothing."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        used = [x for x in modes if getattr(runner, f'_{x}_loop') is not None]
        return cls(model,
                   {x: getattr(runner, f'_{x}_dataloader') for x in used},
                   {x: getattr(runner, f'_{x}_evaluator', None) for x in used},
                   runner.hooks, runner.cfg)

    def loader(self, mode: str) -> Optional[Loader]:
        """The data loader of a mode, None without one."""
        return next((x for x in self.loaders if x.mode == mode), None)

    def data_sets(self) -> Iterator[tuple[Loader, Part]]:
        """All data sets, with their loaders."""
        return ((x, dataset) for x in self.loaders for dataset in x.datasets)

    def model_parts(self) -> list[Part]:
        """Backbone, neck and heads, as far as there are any."""
        found = [self.model.child(x, MODELS)
                 for x in ('backbone', 'neck', 'cls_head', 'roi_head')]
        return [x for x in found if x is not None]

    def remembering(self) -> list[Part]:
        """Parts of the model that remember, as they are configured."""
        return [x for x in self.model_parts() if _remembers(x)]

    @cached_property
    def with_memory(self) -> bool:
        """Whether the model remembers streams."""
        return self.carries_memory and bool(self.remembering())

    @property
    def is_ours(self) -> bool:
        """Whether anything in it has to do with memories or streams."""
        parts = [self.model, *self.model_parts(), *self.hooks,
                 *sum(self.metrics.values(), [])]
        for loader in self.loaders:
            parts += loader.datasets
            if loader.batch_sampler is not None:
                parts.append(loader.batch_sampler)
        return any(x.is_ours or hasattr(x.cls, 'init_memory')
                   or hasattr(x.cls, 'stream_keys') for x in parts)


def _list_metrics(value: Any) -> list:
    if value is None:
        return []
    if isinstance(value, Evaluator):
        return list(value.metrics)
    if isinstance(value, dict) and 'metrics' in value:
        value = value['metrics']
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _remembers(part: Part) -> bool:
    if not hasattr(part.cls, 'init_memory'):
        return False
    if not part.is_config:
        return remembers(part.value)
    value = dict(part.value)
    if part.scope:
        value['_scope_'] = part.scope
    try:
        with torch.device('meta'):
            return remembers(MODELS.build(value))
    except Exception:  # noqa: BLE001
        # A model that cannot be built tells why when it is.
        return bool(part.get('mem_len', 1))
