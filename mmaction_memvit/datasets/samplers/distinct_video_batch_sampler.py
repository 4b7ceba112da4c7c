# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ...messages import check_no_more, check_whole, retire, warn
from .stream_plan import read_stream_keys, set_dataset_epoch


@DATA_SAMPLERS.register_module()
class DistinctVideoBatchSampler(Sampler):
    """Batches of samples in random order, each of another video.

    Batch normalisation over clips of different videos only, as collaborative
    memories ask for, needs batches of different videos, over all processes.
    It goes into a data loader's config, above an unchanged ``DefaultSampler``
    like ``StreamBatchSampler``, and tells the data set the epoch.

    In training, a batch of all processes together holds no video twice, as
    far as the numbers of samples allow; the others of the batch then repeat
    none. Every sample appears; the last batch is filled up with some that
    appear twice. In evaluation every sample appears once over all processes,
    in order; these may have different numbers of batches. A data set with
    ``item_slices()`` is then asked for these slices in place of samples, as
    :class:`CollaborativeAVADataset` is.

    Args:
        sampler (DefaultSampler): The sampler to read ``dataset``, ``seed``,
            ``shuffle``, ``epoch``, ``rank`` and ``world_size`` from; without
            ``shuffle`` this is an evaluation. The runner fills it in.
        batch_size (int): Samples, or slices, of one process. The runner fills
            it in.
    """

    def __init__(self, sampler: Sampler, batch_size: int,
                 **kwargs: Any) -> None:
        retire(kwargs, drop_last=False)
        check_no_more(kwargs, __class__)
        self.sampler = sampler
        self.batch_size = check_whole('batch_size', batch_size)
        keys = read_stream_keys(sampler.dataset)
        numbers: dict[str, int] = {}
        self.videos = np.asarray(
            [numbers.setdefault(video, len(numbers)) for video, _ in keys])
        total = batch_size * sampler.world_size
        if not sampler.shuffle:
            slices = getattr(sampler.dataset, 'item_slices', None)
            items = slices() if callable(slices) else list(range(len(keys)))
            self._own = items[sampler.rank::sampler.world_size]
            self._steps = math.ceil(len(self._own) / batch_size)
            return
        self._steps = math.ceil(len(keys) / total)
        most = np.bincount(self.videos).max()
        if most > self._steps or len(numbers) < total:
            warn(
                f'{len(numbers)} videos with up to {most} samples cannot fill '
                f'{self._steps} batches of {total} without the same video '
                'twice in one, so batch normalisation will see clips that '
                'look alike: use a smaller batch, or more or shorter videos')

    def __iter__(self) -> Iterator[list]:
        """Iterate over the batches of the sampler's current epoch."""
        size = self.batch_size
        if not self.sampler.shuffle:
            return (self._own[i:i + size]
                    for i in range(0, len(self._own), size))
        sampler = self.sampler
        set_dataset_epoch(sampler.dataset, sampler.epoch)
        rng = np.random.default_rng(
            [sampler.seed % 2**32, sampler.epoch % 2**32])
        plan = plan_distinct(self.videos, size * sampler.world_size, rng)
        first = sampler.rank * size
        return iter(plan[:, first:first + size].tolist())

    def __len__(self) -> int:
        """Number of batches of this process."""
        return self._steps


def plan_distinct(videos: np.ndarray, batch_size: int,
                  rng: np.random.Generator) -> np.ndarray:
    """Deal samples to batches at random, each of another video.

    ``videos`` are the numbers of the samples' videos. The result are samples,
    (batches, batch_size), each of which appears; as many as are missing in the
    last batch do so twice. A batch has a video twice only where no exchange
    with another one helps.
    """
    steps = math.ceil(len(videos) / batch_size)
    order = np.resize(rng.permutation(len(videos)), steps * batch_size)
    plan = order.reshape(steps, batch_size)
    shown = videos[plan]
    for row in range(steps):
        for col in range(batch_size):
            video = shown[row, col]
            if video not in shown[row, :col]:
                continue
            # A few batches at random, and all of them where that fails.
            for rows in (rng.integers(steps, size=16), rng.permutation(steps)):
                # Videos that this batch lacks, where its own is lacking.
                fits = ~np.isin(shown[rows], shown[row])
                fits[(shown[rows] == video).any(1)] = False
                if fits.any():
                    i, j = np.unravel_index(
                        rng.choice(np.flatnonzero(fits)), fits.shape)
                    other = rows[i], j
                    for array in (plan, shown):
                        array[row, col], array[other] = (array[other],
                                                         array[row, col])
                    break
    return plan
