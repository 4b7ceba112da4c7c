# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import pickle
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from mmaction.registry import DATASETS
from mmengine.dataset import (
    BaseDataset,
    ConcatDataset,
    DefaultSampler,
    InfiniteSampler,
)
from mmengine.hooks import DistSamplerSeedHook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmaction_memvit.datasets.samplers import (
    StreamBatchSampler,
    stream_batch_sampler,
)
from mmaction_memvit.datasets.samplers.stream_plan import (
    read_stream_keys,
)


class Plain(BaseDataset):
    """Clips of videos of given lengths; a sample is (video, position)."""

    def __init__(self, lengths, prefix='video', **kwargs):
        self.lengths, self.prefix, self.epochs = lengths, prefix, []
        # Serializing collects garbage, which is slow.
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self):
        return [dict(video_id=f'{self.prefix}_{v}', timestamp=p)
                for v, length in enumerate(self.lengths)
                for p in range(length)]

    def __getitem__(self, index):
        return self.stream_keys()[index]


@DATASETS.register_module(name='SamplerTestDataset', force=True)
class Keyed(Plain):
    """The same, with stream_keys and set_epoch."""

    def stream_keys(self):
        return [tuple(x.values()) for x in self.load_data_list()]

    def get_data_info(self, index):
        raise AssertionError('stream_keys() makes this unnecessary')

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


def fake(dataset, shuffle=True, rank=0, world_size=1, epoch=0):
    """What the batch sampler reads of a sampler."""
    return SimpleNamespace(
        dataset=Keyed(dataset) if isinstance(dataset, list) else dataset,
        shuffle=shuffle, seed=7, epoch=epoch, rank=rank, world_size=world_size)


@pytest.fixture
def log(monkeypatch):
    """Everything the sampler logs, as (level, text)."""
    lines = []
    monkeypatch.setattr(stream_batch_sampler, 'log',
                        lambda text, level=20: lines.append((level, text)))
    monkeypatch.setattr(
        stream_batch_sampler, 'warn', lambda text: lines.append((30, text)))
    return lines


def test_keys_of_concatenated_datasets():
    dataset = ConcatDataset([Keyed([2]), Plain([1, 1], prefix='other')])
    assert read_stream_keys(dataset) == [
        ('video_0', 0), ('video_0', 1), ('other_0', 0), ('other_1', 0)]
    sampler = StreamBatchSampler(fake(dataset, epoch=3), 2)
    assert set(sum(sampler, [])) == {0, 1, 2, 3}
    assert dataset.datasets[0].epochs == [3]
    # Spawned workers get pickles; evaluation leaves the epoch alone.
    evaluation = StreamBatchSampler(
        pickle.loads(pickle.dumps(fake(dataset, shuffle=False))), 2)
    assert list(evaluation) == list(evaluation) == [[0, 2], [1, 3]]
    assert dataset.datasets[0].epochs == [3]
    # The same video id in two parts is two videos under one name.
    with pytest.raises(ValueError, match='ConcatDataset'):
        StreamBatchSampler(fake(ConcatDataset([Plain([2])] * 2)), 1)


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_lengths_and_windows(world_size, log):
    lengths = set()
    for rank in range(world_size):
        for shuffle in (True, False):
            sampler = fake([5, 1, 4, 2, 2, 7, 3], shuffle, rank, world_size)
            single = StreamBatchSampler(sampler, 2)
            assert len(single) == len(list(single)) > 0
            assert all(type(i) is int for batch in single for i in batch)
        single = list(StreamBatchSampler(fake([5, 1, 4, 2, 2, 7, 3], True,
                                              rank, world_size), 2))
        lengths.add(len(single))
        # Windows are batches in a row.
        windows = StreamBatchSampler(
            fake([5, 1, 4, 2, 2, 7, 3], True, rank, world_size), 2, unroll=5)
        assert len(windows) == len(list(windows)) == -(-len(single) // 5)
        assert sum(windows, []) == sum(single, [])
        assert {len(x) for x in list(windows)[:-1]} <= {10}
    assert len(lengths) == 1


def test_mode(log):
    def mode(shuffle, test_mode=False, world_size=1, **kwargs):
        dataset = Keyed([2, 3, 2, 3], test_mode=test_mode)
        return StreamBatchSampler(
            fake(dataset, shuffle, world_size=world_size), 1, **kwargs).mode

    assert mode(True) == 'train'
    assert mode(False) == mode(False, True) == 'eval'
    assert mode(False, mode='train') == 'train'
    assert mode(True, True, mode='eval') == 'eval'
    assert not [text for level, text in log if level > 20]
    mode(False, world_size=2)
    assert "mode='train'" in [text for level, text in log if level > 20][0]
    with pytest.raises(ValueError, match='shuffle=False'):
        mode(True, test_mode=True)
    with pytest.raises(ValueError, match="'predict'"):
        mode(True, mode='predict')


@pytest.mark.parametrize('lengths, batch_size, kwargs, level, words', [
    ([4] * 8, 4, {}, 20, ['8 videos with 32 clips in 4 lanes',
                          '0 of 32 places (0.0%)']),
    ([30] * 9, 8, {}, 30, ['210 of 480 places (43.8%)', 'split_videos=True']),
    ([30] * 9, 8, dict(split_videos=True), 20, ['2 of 272 places']),
    ([60, 10, 10, 10], 4, {}, 30, ['60 clips', 'max_stream_len=22']),
    ([60, 10, 10, 10], 4, dict(max_stream_len=10), 20,
     ['leaves out 50 clips of 1 videos', '0 of 40 places']),
    ([30] * 9, 3, dict(unroll=4), 20, ['23 windows of 4 clips']),
])
def test_log_names_padding_and_remedy(log, lengths, batch_size, kwargs, level,
                                      words):
    StreamBatchSampler(fake(lengths), batch_size, **kwargs)
    assert log[-1][0] == level and all(x in log[-1][1] for x in words)


@pytest.mark.parametrize('kwargs, words', [
    (dict(batch_size=0), 'batch_size=0'),
    (dict(batch_size=1, drop_last=True), 'drop_last.*False'),
    (dict(batch_size=1, max_stream_len=0), 'max_stream_len=0'),
    (dict(batch_size=1, mode='eval', split_videos=True),
     'split_videos=True.*training only'),
    (dict(batch_size=1, mode='eval', unroll=3), 'unroll=3.*training only'),
    (dict(batch_size=4), '3 videos.*4 lanes.*at most 3'),
])
def test_bad_arguments(kwargs, words):
    with pytest.raises(ValueError, match=words):
        StreamBatchSampler(fake([2, 1, 3]), **kwargs)


def test_bad_samplers_and_datasets():
    dataset = Keyed([2, 2])
    with pytest.raises(ValueError, match='no `epoch`.*DefaultSampler'):
        StreamBatchSampler(InfiniteSampler(dataset, seed=0), 1)
    # A misspelt option must not be passed over.
    with pytest.raises(TypeError, match='split_video'):
        StreamBatchSampler(fake(dataset), 1, split_video=True)
    with pytest.raises(ValueError, match='0 clips'):
        StreamBatchSampler(fake([]), 1)
    dataset.stream_keys = lambda: [('a', 0)]
    with pytest.raises(ValueError, match='1 keys for 4 samples'):
        StreamBatchSampler(fake(dataset), 1)
    nameless = Plain([2])
    nameless.get_data_info = lambda index: {'filename': 'a.mp4', 'label': 1}
    for dataset in (nameless, range(3)):
        with pytest.raises(ValueError, match='`video_id`.*stream_keys'):
            StreamBatchSampler(fake(dataset), 1)


# With the runner


def build_loader(**kwargs):
    cfg = dict(
        dataset=dict(type='SamplerTestDataset', lengths=[4, 3, 6, 5, 2]),
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=dict(type='StreamBatchSampler'),
        batch_size=2, num_workers=0, **kwargs)
    with DefaultScope.overwrite_default_scope('mmaction'):
        return Runner.build_dataloader(copy.deepcopy(cfg), seed=5)


def test_runner_builds_it():
    loader = build_loader()
    sampler = loader.batch_sampler
    assert isinstance(sampler.sampler, DefaultSampler)
    # MMEngine reads the batch size here to scale learning rates.
    assert (sampler.batch_size, sampler.sampler.seed) == (2, 5)
    lanes = list(zip(*(zip(*batch) for batch in loader)))
    assert len(loader) == len(lanes[0]) == len(sampler)
    for lane in lanes:
        for (video, position), after in zip(lane, lane[1:]):
            assert after == (video, position + 1) or after[1] == 0
    with pytest.raises(ValueError, match='num_batch_per_epoch'):
        build_loader(num_batch_per_epoch=2)


def test_seed_hook_changes_the_order_every_epoch():
    loader = build_loader()
    runner = MagicMock()
    runner.train_loop.dataloader = loader
    orders = []
    for runner.epoch in range(2):
        DistSamplerSeedHook().before_train_epoch(runner)
        orders.append(list(loader))
    assert orders[0] != orders[1] and len(orders[0]) == len(orders[1])
    assert loader.dataset.epochs == [0, 1]
    # A run resumed at epoch 1.
    runner.train_loop.dataloader = loader = build_loader()
    DistSamplerSeedHook().before_train_epoch(runner)
    assert list(loader) == orders[1]
