# Copyright (c) mmaction_memvit contributors. All rights reserved.
import mmaction_memvit  # noqa: F401  # isort: skip

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler

from mmaction_memvit.datasets.samplers import (
    DistinctVideoBatchSampler,
    distinct_video_batch_sampler,
)


class Windows:
    """A data set that tells its videos, and keeps the epochs it is told."""

    def __init__(self, counts):
        self.keys = [(f'v{v}', i) for v, n in enumerate(counts)
                     for i in range(n)]
        self.epochs = []

    def __len__(self):
        return len(self.keys)

    def stream_keys(self):
        return self.keys

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


def build(dataset, size, rank=0, world_size=1, shuffle=True, epoch=0):
    sampler = DefaultSampler(dataset, shuffle=shuffle, seed=5)
    sampler.rank, sampler.world_size = rank, world_size
    sampler.set_epoch(epoch)
    return DistinctVideoBatchSampler(sampler, size)


@pytest.mark.parametrize('counts', [[9] * 6, [14, 14, 9, 9, 9, 3, 1], [1] * 8,
                                    [2] * 4])
@pytest.mark.parametrize('world_size', [1, 2])
def test_batches_hold_different_videos(counts, world_size):
    dataset = Windows(counts)
    ranks = [list(build(dataset, 2, rank, world_size, epoch=3))
             for rank in range(world_size)]
    assert dataset.epochs == [3] * world_size
    seen = []
    for parts in zip(*ranks):
        batch = sum(parts, [])
        videos = [dataset.keys[i][0] for i in batch]
        assert len(set(videos)) == 2 * world_size
        seen += batch
    assert {len(x) for x in ranks} == {-(-len(dataset) // (2 * world_size))}
    assert len(build(dataset, 2, 0, world_size)) == len(ranks[0])
    # All of them; what fills the last batch comes twice.
    assert sorted(set(seen)) == list(range(len(dataset)))
    again = [list(build(dataset, 2, rank, world_size, epoch=3))
             for rank in range(world_size)]
    assert again == ranks
    if len(dataset) > 8:
        assert list(build(dataset, 2, 0, world_size, epoch=4)) != ranks[0]


def test_order_is_random():
    first = [batch[0] for epoch in range(400)
             for batch in list(build(Windows([3] * 4), 2, epoch=epoch))[:1]]
    assert (np.bincount(first, minlength=12) > 10).all()


@pytest.mark.parametrize('world_size', [1, 3])
def test_evaluation_shows_all_once_and_in_order(world_size):
    dataset = Windows([5, 2, 3])
    ranks = [build(dataset, 2, rank, world_size, shuffle=False)
             for rank in range(world_size)]
    own = [sum(x, []) for x in ranks]
    assert all(x == sorted(x) for x in own)
    assert sorted(sum(own, [])) == list(range(10))
    assert [len(x) for x in ranks] == [len(list(x)) for x in ranks]
    assert not dataset.epochs


def test_evaluation_by_slices():
    dataset = Windows([5, 2])
    slices = [slice(0, 4), slice(4, 5), slice(5, 7)]
    dataset.item_slices = lambda: slices
    first = list(build(dataset, 2, shuffle=False))
    assert first == [slices[:2], slices[2:]]
    assert list(build(dataset, 2, 1, 2, shuffle=False)) == [slices[1:2]]
    # Not in training.
    assert sorted(sum(build(dataset, 1), [])) == list(range(7))


def test_where_it_cannot_be_the_log_tells(monkeypatch):
    said = []
    monkeypatch.setattr(distinct_video_batch_sampler, 'warn', said.append)
    build(Windows([4, 4, 4]), 3)
    assert not said
    sampler = build(Windows([9, 1, 1, 1]), 2)
    assert sorted(sum(sampler, [])) == list(range(12))
    assert '4 videos with up to 9 samples' in said[0]
    build(Windows([2, 2]), 3)
    assert '2 videos' in said[1] and 'smaller batch' in said[1]
