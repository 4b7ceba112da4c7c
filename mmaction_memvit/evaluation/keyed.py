# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What all metrics have in common: each key once, whoever scored it."""
from __future__ import annotations

import pickle
import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from ..messages import first_names, log, warn

_ONCE = ("use batch_sampler=dict(type='StreamBatchSampler') with "
         "sampler=dict(type='DefaultSampler', shuffle=False), or without "
         "streams dict(type='DefaultSampler', shuffle=False, round_up=False)")
_SHAPES = {1: '(num_classes, )', 2: '(views, num_classes)'}


class KeyedMetric(BaseMetric):
    """Base of metrics whose samples have keys, such as video and position.

    Every key must be scored exactly once, by any process, in any batch and
    order. Keys that come twice are an error that names them, unless all keys
    are there and the second result says the same, as of samplers that fill up
    the last batch. Keys that are missing are a warning, or an error; of a dump
    (of ``tools/test.py --dump``) always an error, as far as its samples tell
    their ``place`` in a :class:`StreamDataset`. A metric
    says how a sample becomes a key and a value (:meth:`result_of`) and what is
    measured of all (:meth:`measure`).

    Args:
        collect_device (str): 'cpu' or 'gpu', where results of several
            processes are collected. Defaults to 'cpu'.
        prefix (str, optional): Goes before the names of the measures. Defaults
            to None: ``default_prefix``.
    """

    #: What a key names, for messages.
    unit = 'samples'
    #: Whether it is an error if fewer keys than the data set has were scored.
    needs_all = False

    _expected: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dumped: set[tuple] = set()

    @abstractmethod
    def result_of(self, sample: dict) -> tuple[tuple, Any]:
        """Key, a tuple that can be sorted, and what is kept of a sample."""

    @abstractmethod
    def measure(self, found: dict[tuple, Any]) -> dict[str, float]:
        """Measures by name, of all values by key, sorted by key."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Stores key and value of every scored sample."""
        self.results += map(self.result_of, data_samples)
        if data_batch is None:
            # From a dump: evaluate will hear its size, not the data set's.
            self._dumped.update(x['place'] for x in data_samples
                                if x.get('place'))

    def evaluate(self, size: int) -> dict:
        """Measures by name with prefix, of a data set of ``size`` samples."""
        self._expected = size
        self.check_dump()
        self._dumped.clear()
        # Repeated results are told by their keys; none is cut off.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[tuple[tuple, Any]]) -> dict:
        """Looks for doubled and missing keys and computes the measures."""
        found: dict[tuple, Any] = {}
        repeated, different = set(), set()
        for key, value in results:
            if key in found:
                repeated.add(key)
                if not _is_same(found[key], value):
                    different.add(key)
                # The same one whatever the order.
                value = min(found[key], value, key=pickle.dumps)
            found[key] = value
        missing = self._expected is not None and len(found) < self._expected
        if missing and self.needs_all and not different:
            self._tell_missing(found)
        # What samplers add to fill up the last batch is no mistake.
        padded = self._expected is not None and not missing
        twice = sorted(different if padded else repeated)
        if twice:
            raise ValueError(
                f'{len(twice)} {self.unit} were scored twice'
                + (', with different scores or labels' if different else '') +
                f', such as {self.name_keys(twice)}. Every one must be '
                f'evaluated exactly once: {_ONCE}; names of videos must be '
                'different.')
        if missing:
            self._tell_missing(found)
        if not found:
            raise ValueError(f'No {self.unit} were scored. Remedy: see that '
                             'the data set is not empty')
        return self.measure({key: found[key] for key in sorted(found)})

    def check_dump(self) -> None:
        """Raises a ValueError if a dump lacks samples of its data set."""
        # Of several data sets, those of different sizes are told apart.
        sizes = {num for _, num, _ in self._dumped}
        missing = {(idx, num) for num in sizes for idx in range(num)} - {
            place[:2] for place in self._dumped}
        gaps = sorted(key for idx, num, key in self._dumped
                      if ((idx + 1) % num, num) in missing)
        if missing:
            raise ValueError(
                f'the dump lacks {len(missing)} of the {sum(sizes)} '
                f'{self.unit} of its data set, from {first_names(gaps)} on. '
                'Remedy: dump all anew by tools/test.py --dump; for a part of '
                'the videos test with an ann_file that lists these')

    def _tell_missing(self, found: dict[tuple, Any]) -> None:
        known = (self.dataset_meta or {}).get('video_ids', ())
        missing = sorted(set(known) - {key[0] for key in found})
        text = (f'{len(found)} {self.unit} were scored, but the data set has '
                f'{self._expected}')
        if missing:
            text += f'; without scores are {first_names(missing)}'
        if self.needs_all:
            raise ValueError(f'{text}. All must be scored: {_ONCE}, and let '
                             'names of videos be different.')
        self.warn(f'{text}. The measures leave the others out')

    @staticmethod
    def name_keys(keys: Sequence[tuple]) -> str:
        """The first keys, for messages."""
        return first_names([key[0] if len(key) == 1 else key for key in keys])

    def field(self, sample: dict, name: str, hint: str = '') -> Any:
        """A field that a sample must have; ``hint`` says what gives it."""
        if sample.get(name) is None:
            raise ValueError(
                f'{type(self).__name__} got a sample without `{name}`. Remedy:'
                f" keep '{name}' in the meta_keys of PackActionInputs and use "
                f'a data set whose samples have it. {hint}The sample has '
                f'{sorted(sample)}.')
        return sample[name]

    def scores_of(self, sample: dict, *dims: int) -> torch.Tensor:
        """``pred_score`` of a sample, a tensor of so many dimensions."""
        value = self.field(sample, 'pred_score')
        if getattr(value, 'ndim', 0) not in dims or not len(value):
            shapes = ' or '.join(_SHAPES[num] for num in dims)
            raise ValueError(
                f'{type(self).__name__} needs `pred_score` of shape {shapes}, '
                f'but that of {sample.get("video_id")!r} is '
                f'{getattr(value, "shape", type(value).__name__)}.')
        return value

    def log(self, text: str) -> None:
        """Says something in the log."""
        log(f'{type(self).__name__}: {text}')

    def warn(self, text: str) -> None:
        """Warns in the log."""
        warn(f'{type(self).__name__}: {text}.')


def _is_same(first: Any, other: Any) -> bool:
    """Whether two results say the same, but for rounding."""
    if isinstance(first, dict):
        return first.keys() == other.keys() and all(
            _is_same(first[key], other[key]) for key in first)
    if isinstance(first, np.ndarray) and first.dtype.kind == 'f':
        return first.shape == other.shape and np.allclose(
            first, other, 0.01, 0.01, equal_nan=True)
    return np.array_equal(first, other)


def to_numpy(value: Any, dtype: torch.dtype = torch.float32) -> np.ndarray:
    """A copy of a tensor as an array; float64 and arrays stay what they are.

    A view would keep the scores of the whole batch alive, and NumPy has no
    bfloat16.
    """
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    kind = torch.float64 if value.dtype == torch.float64 else dtype
    return np.array(value.to(kind).numpy())


def is_probability(rows: np.ndarray, tolerance: float = 0.02) -> bool:
    """Whether all rows go from 0 to 1 and sum to 1.

    Probabilities in half precision miss a sum of 1 by some thousandths.
    """
    return bool(rows.min() >= 0 and np.abs(rows.sum(-1) - 1).max() < tolerance)
