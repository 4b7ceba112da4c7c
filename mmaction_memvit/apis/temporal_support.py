# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import math
from collections.abc import Iterator
from typing import Callable, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmaction_memvit.datasets.samplers.stream_plan import (
    index_streams,
    read_stream_keys,
)
from mmaction_memvit.evaluation.functional import (
    TemporalSupport,
    change_by_age,
)
from mmaction_memvit.evaluation.keyed import is_probability, to_numpy
from mmaction_memvit.memory import MemoryBank, MemoryHost, clip_identities
from mmaction_memvit.messages import log
from mmaction_memvit.models.layers.feature_vectors import feature_vectors

from .model import load_model

# Ages looked at where nobody says: of memories without an end, and at most.
_SOME_AGES, _MANY_AGES = 16, 32


def measure_temporal_support(
        config: Union[str, Config], checkpoint: Optional[str] = None,
        num_clips: int = 512, max_age: Optional[int] = None,
        unlabelled: bool = False, device: str = 'cpu',
        seed: int = 0) -> TemporalSupport:
    """How far back a clip still changes the scores of a trained model.

    Runs stretches of the config's test data, drawn at random, as the config's
    streams; each past clip is in turn replaced by a clip of another video (of
    a detector the frames, not the boxes), see :func:`change_by_age`. That
    takes max_age + 3 times the forwards of testing these clips; how many is
    logged before. A model without memory is measured all the same.

    Args:
        config (str | Config): The config the model was trained with.
        checkpoint (str, optional): Weights. Defaults to None: as initialised.
        num_clips (int): Clips to run, about. Defaults to 512.
        max_age (int, optional): Largest age in clips. Defaults to None: one
            more than can matter, 32 at most.
        unlabelled (bool): Whether scores of clips labelled -1, which no
            metric counts, are measured, too. Defaults to False.
        device (str): Defaults to 'cpu'.
        seed (int): Of the clips that are drawn. Defaults to 0.

    Returns:
        TemporalSupport: Independent of the batch size.

    Raises:
        ValueError: If the test data are of less than two videos, or no clip
            counts.
    """
    config, model = load_model(config, checkpoint, device)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    theoretical = theoretical_support(
        model, vectors_a_clip(model, lambda: _test(model, dataset[0])))
    lengths = index_streams(read_stream_keys(dataset)).lengths
    if max_age is None:
        far = _SOME_AGES if math.isinf(theoretical) else theoretical + 1
        max_age = min(math.ceil(far), _MANY_AGES)
    max_age = min(max_age, lengths.max() - 1)
    pairs = _Pairs(dataset, num_clips, 2 * (max_age + 1), seed)
    loader = Runner.build_dataloader(
        dict(
            config.test_dataloader, dataset=pairs,
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_sampler=dict(type='mmaction.StreamBatchSampler')), seed=seed)
    log(f'temporal support: {len(pairs)} clips of {pairs.num_videos} videos, '
        f'ages 0 to {max_age}: {(max_age + 3) * len(pairs)} forwards, '
        f'{max_age + 3} times those of testing these clips')
    bank, max_gap = None, 1
    if isinstance(model, MemoryHost):
        bank = copy.deepcopy(model.bank(True))  # an empty one
        max_gap = bank.max_gap
    result = change_by_age(
        _step_of(model), _batches(model, loader, max_gap, unlabelled),
        max_age, bank)
    if not result.counts[0]:
        raise ValueError(
            f'none of {len(pairs)} clips has a label: raise num_clips, or set '
            'unlabelled=True (--unlabelled)')
    return result._replace(theoretical=theoretical)


def theoretical_support(model: nn.Module, places: int = 1) -> float:
    """Clips of the past that can matter, see ``MemoryHost.clips_back``."""
    return model.clips_back(places) if isinstance(model, MemoryHost) else 0


def vectors_a_clip(model: nn.Module, run: Callable[[], object]) -> int:
    """Vectors that a clip gives to parts that remember each of them.

    ``run`` passes one through the model; it is not called without such parts.
    """
    parts = model.memory_parts() if isinstance(model, MemoryHost) else ()
    part = next((x for x in parts if getattr(x, 'per_frame', False)), None)
    if part is None:
        return 1
    found = []

    def look(part: nn.Module, args: tuple) -> None:
        found.append(feature_vectors(args[0], True).shape[1])

    with part.register_forward_pre_hook(look), torch.no_grad():
        run()
    return found[0]


def _test(model: nn.Module, sample: dict) -> None:
    model(**model.data_preprocessor(pseudo_collate([sample]), False),
          mode='predict')


class _Pairs(Dataset):
    """Stretches of a data set's streams, with clips to replace them.

    Which clip replaces another one hangs on the seed and on that clip alone.
    """
    test_mode = True

    def __init__(self, dataset: Dataset, num_clips: int, length: int,
                 seed: int) -> None:
        self.dataset, self.seed = dataset, seed
        self.keys = read_stream_keys(dataset)
        streams = index_streams(self.keys)
        if len(streams.names) < 2:
            raise ValueError(
                f'the test data are of {len(streams.names)} video, but at '
                'least 2 are needed: clips are replaced by those of another')
        stretches = [
            part for own in np.split(streams.indices, streams.starts[1:])
            for part in np.array_split(own, max(round(len(own) / length), 1))]
        order = np.random.default_rng(seed).permutation(len(stretches))
        total = np.cumsum([len(stretches[i]) for i in order])
        num = int(np.searchsorted(total, num_clips)) + 1
        self.indices = np.sort(
            np.concatenate([stretches[i] for i in order[:num]]))

    @property
    def num_videos(self) -> int:
        return len({video for video, _ in self.stream_keys()})

    def stream_keys(self) -> List[tuple]:
        return [self.keys[i] for i in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> dict:
        index = self.indices[i]
        rng = np.random.default_rng((self.seed, index))
        other = index
        while self.keys[other][0] == self.keys[index][0]:
            other = rng.integers(len(self.keys))
        data = self.dataset[int(index)]
        replaced = self.dataset[int(other)]['inputs']
        return dict(data, replaced=_resize(replaced, data['inputs'].shape))


def _resize(clip: Tensor, shape: torch.Size) -> Tensor:
    """Frames (..., T, H, W) of the size of another clip's."""
    if clip.shape == shape:
        return clip
    flat = clip.reshape(-1, *clip.shape[-3:]).float()
    flat = F.interpolate(flat, size=shape[-2:], mode='bilinear')
    return flat.round().to(clip.dtype).reshape(shape)


class _Branch(MemoryBank):
    """Goes on from what another bank remembers, and leaves that one alone."""

    def __init__(self, before: MemoryBank) -> None:
        super().__init__(before.max_gap)
        self.before: Optional[MemoryBank] = before

    def read(self, clips: list, init: Callable) -> object:
        return MemoryBank.read(self.before, clips, init)

    def elapsed(self, clips: list) -> Optional[List[float]]:
        return MemoryBank.elapsed(self.before, clips)


def _step_of(model: nn.Module) -> Callable:
    """The model as a pure function of clips and a bank."""

    def step(data: dict, bank: Optional[MemoryBank]) -> tuple:
        if bank is not None:
            bank = model.banks[model.eval_mode] = _Branch(bank)
        with torch.no_grad():
            scores = list(map(_scores, model(**data, mode='predict')))
        if bank is not None:
            bank.before = None  # or no bank would ever be forgotten
        return scores, bank

    return step


def _scores(sample: object) -> List[np.ndarray]:
    """Class probabilities of a clip, by task."""
    if 'pred_instances' in sample:
        return [to_numpy(sample.pred_instances.scores)]
    scores = sample.pred_score
    tasks = scores.values() if isinstance(scores, dict) else [scores]
    return [
        to_numpy(x if is_probability(to_numpy(x)) else x.float().softmax(-1))
        for x in tasks]


def _batches(model: nn.Module, loader: DataLoader, max_gap: int,
             unlabelled: bool) -> Iterator[Tuple[dict, dict, List[int]]]:
    """What :func:`change_by_age` takes, under a progress bar."""
    seen: Dict[str, Tuple[int, int]] = {}
    progress = ProgressBar(len(loader.dataset))
    for data in loader:
        samples, past = data['data_samples'], []
        for sample, clip in zip(samples, clip_identities(samples)):
            position, num = seen.get(clip.video_id, (-math.inf, 0))
            num = num + 1 if 0 < clip.position - position <= max_gap else 0
            seen[clip.video_id] = clip.position, num
            label = sample.get('gt_label')
            counts = unlabelled or label is None or (label != -1).any()
            past.append(num if counts else -1)
        yield (*(model.data_preprocessor(
            dict(inputs=clips, data_samples=samples), False)
                 for clips in (data['inputs'], data['replaced'])), past)
        progress.update(len(samples))
    print()
