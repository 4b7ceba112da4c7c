# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What is to be said ahead of time, and must not be seen."""
import copy
import json
import os.path as osp
from collections.abc import Iterator
from typing import Optional

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from mmaction_memvit.datasets.stream import seeded
from mmaction_memvit.evaluation.functional.look_ahead import looks_ahead
from mmaction_memvit.evaluation.keyed import to_numpy
from mmaction_memvit.memory import MemoryHost

from .findings import Finding
from .part import Part
from .pipelines import shows_features
from .run import Loader, Run

#: Weights below are as good as zero.
_NOTHING = 1e-3
_SEGMENTS = ("or one sample a segment, dataset.type='EpicDataset', "
             "task='anticipation'")


def _asked(run: Run) -> Iterator[tuple[Loader, Part]]:
    """Data sets whose tokens must not know what comes after them."""
    for loader, dataset in run.data_sets():
        if loader.is_stream and (dataset.get('task') == 'anticipation'
                                 or dataset.is_a('BenchmarkDataset')):
            yield loader, dataset


def _limit(dataset: Part) -> str:
    if dataset.is_a('BenchmarkDataset'):
        return 'online detection knows nothing of what comes later'
    return (f'anticipation sees nothing within tau_a={dataset.get("tau_a"):g} '
            's of what it foretells')


def nothing_is_foreseen(run: Run) -> Iterator[Finding]:
    """Models whose tokens know of later frames of their clip; tried out."""
    for loader, dataset in _asked(run):
        ahead = _model_looks_ahead(run, dataset)
        if ahead is None:
            continue
        if not ahead:
            # It is the same model for all of them.
            return
        where, change = 'model', 'a model whose tokens see no later frames, '
        if run.backbone is not None and run.backbone.is_a('MeMViT'):
            where = f'{run.backbone.path}.causal'
            change = f'{where}=True, '
        change += ('or clips of one token (num_tokens=1 in all data sets, '
                   'per_frame=False in the head)' if
                   dataset.is_a('BenchmarkDataset') else _SEGMENTS)
        yield Finding(
            where, f'scores of a token of {run.model} change with frames that '
            f'come after it in its clip, but {_limit(dataset)} '
            f'({loader.path}.dataset)', change)
        return


def _model_looks_ahead(run: Run, dataset: Part) -> Optional[bool]:
    """Whether it can, by its structure, tried out; None if it fails."""
    # What is drawn here is not missed in the run.
    with seeded(0):
        try:
            sample = dataset.value[0]
            model = copy.deepcopy(run.model.value).eval()
            for weight in model.parameters():
                # Branches that begin at zero hide what they will do.
                if weight.numel() and weight.abs().max() < _NOTHING:
                    weight.data.copy_(0.1 * torch.randn(weight.shape))
            return looks_ahead(lambda clip: _scores(model, sample, clip),
                               sample['inputs'])
        except Exception:  # noqa: BLE001
            # The run itself tells what fails.
            return None


def _scores(model: torch.nn.Module, sample: dict,
            clip: torch.Tensor) -> np.ndarray:
    """Scores of all tasks by token, (T, C), at the start of a stream.

    With gradient, so that no CUDA graph is captured.
    """
    if isinstance(model, MemoryHost):
        model.bank(True).clear()
    data = dict(inputs=clip, data_samples=copy.deepcopy(
        sample['data_samples']))
    out, = model(**model.data_preprocessor(pseudo_collate([data]), False),
                 mode='predict')
    scores = out.pred_score
    tasks = scores.values() if isinstance(scores, dict) else [scores]
    return np.concatenate([to_numpy(x) for x in tasks], -1)


def features_foresee_nothing(run: Run) -> Iterator[Finding]:
    """Features of each time that know what comes later in their clip."""
    for loader, dataset in _asked(run):
        if not shows_features(dataset) or dataset.get('num_tokens') == 1:
            continue
        folders = dataset.get('data_prefix')['feature']
        for folder in [folders] if isinstance(folders, str) else folders:
            path = osp.join(folder, 'extraction.json')
            if not osp.isfile(path):
                continue
            with open(path, encoding='utf-8') as f:
                ahead = json.load(f).get('looks_ahead')
            if ahead:
                yield Finding(
                    f'{loader.path}.dataset.data_prefix', f'features of '
                    f'{folder} (--per-frame) know what later frames of their '
                    f'clip show, but {_limit(dataset)}', 'features of a '
                    'causal model, such as MeMViT(causal=True), or one a '
                    'clip, without --per-frame')


DATA_CHECKS = (nothing_is_foreseen, features_foresee_nothing)
