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
from mmaction_memvit.datasets.samplers.stream_batch_sampler import (
    read_stream_keys,
)


@DATASETS.register_module(force=True)
class SamplerTestDataset(BaseDataset):
    """Clips of videos of given lengths; a sample is (video, position)."""

    def __init__(self, lengths, prefix='video', **kwargs):
        self.lengths, self.prefix, self.epochs = lengths, prefix, []
        # Serializing collects garbage, which is slow.
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self):
        return [{
            'video_id': f'{self.prefix}_{v}',
            'timestamp': p
        } for v, length in enumerate(self.lengths) for p in range(length)]

    def __getitem__(self, index):
        info = self.get_data_info(index)
        return info['video_id'], info['timestamp']


@DATASETS.register_module(force=True)
class SamplerTestKeyedDataset(SamplerTestDataset):
    """The same, with stream_keys and set_epoch."""

    def stream_keys(self):
        return [(f'{self.prefix}_{v}', p)
                for v, length in enumerate(self.lengths)
                for p in range(length)]

    def get_data_info(self, index):
        raise AssertionError('stream_keys() makes this unnecessary')

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


def fake_sampler(dataset, shuffle=True, rank=0, world_size=1, epoch=0):
    return SimpleNamespace(
        dataset=dataset,
        shuffle=shuffle,
        seed=7,
        epoch=epoch,
        rank=rank,
        world_size=world_size)


@pytest.fixture
def log(monkeypatch):
    """Everything the sampler logs, as (level, text)."""
    lines = []
    monkeypatch.setattr(
        stream_batch_sampler, 'log',
        lambda text, level=20: lines.append((level, text)))
    monkeypatch.setattr(
        stream_batch_sampler, 'warn', lambda text: lines.append((30, text)))
    return lines


def test_keys_of_concatenated_datasets():
    dataset = ConcatDataset([
        SamplerTestKeyedDataset([2]),
        SamplerTestDataset([1, 1], prefix='other')
    ])
    assert read_stream_keys(dataset) == [
        ('video_0', 0), ('video_0', 1), ('other_0', 0), ('other_1', 0)]
    sampler = StreamBatchSampler(fake_sampler(dataset, epoch=3), 2)
    assert set(sum(sampler, [])) == {0, 1, 2, 3}
    assert dataset.datasets[0].epochs == [3]
    evaluation = StreamBatchSampler(
        pickle.loads(pickle.dumps(fake_sampler(dataset, shuffle=False))), 2)
    assert list(evaluation) == list(evaluation) == [[0, 2], [1, 3]]
    assert dataset.datasets[0].epochs == [3]
    # The same video id in two parts is two videos under one name.
    clash = ConcatDataset([SamplerTestDataset([2])] * 2)
    with pytest.raises(ValueError, match='ConcatDataset'):
        StreamBatchSampler(fake_sampler(clash), 1)


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_length_is_the_number_of_batches(world_size):
    dataset = SamplerTestKeyedDataset([5, 1, 4, 2, 2, 7, 3])
    lengths = []
    for rank in range(world_size):
        for shuffle in (True, False):
            sampler = StreamBatchSampler(
                fake_sampler(dataset, shuffle, rank, world_size), 2)
            assert len(sampler) == len(list(sampler)) > 0
            assert all(type(i) is int for batch in sampler for i in batch)
            if shuffle:
                lengths.append(len(sampler))
    assert len(set(lengths)) == 1


def test_epoch_decides_the_order_and_reaches_the_dataset():
    dataset = SamplerTestKeyedDataset([3, 4, 5, 3, 2])
    wrapped = fake_sampler(dataset)
    sampler = StreamBatchSampler(wrapped, 2)
    assert dataset.epochs == []
    orders = []
    # The data set learns its epoch before the first batch.
    iter(sampler)
    assert dataset.epochs.pop() == 0
    for epoch in range(3):
        wrapped.epoch = epoch
        orders.append(list(sampler))
    assert dataset.epochs == [0, 1, 2]
    assert orders[0] != orders[1] != orders[2]
    # A resumed run begins at its epoch, with a new sampler.
    resumed = StreamBatchSampler(fake_sampler(dataset, epoch=2), 2)
    assert list(resumed) == orders[2]


def test_max_stream_len():
    keys = SamplerTestKeyedDataset([20, 3, 2, 4]).stream_keys()
    for shuffle in (True, False):
        shown = []
        for epoch in range(4):
            sampler = StreamBatchSampler(
                fake_sampler(
                    SamplerTestKeyedDataset([20, 3, 2, 4]),
                    shuffle,
                    epoch=epoch),
                2,
                mode='train',
                max_stream_len=6)
            batches = list(sampler)
            # 6 + 3 + 2 + 4 clips in two lanes.
            assert len(sampler) == len(batches) == 8
            shown.append({i for batch in batches for i in batch})
            piece = sorted(keys[i][1] for i in shown[-1] if i < 20)
            assert piece == list(range(piece[0], piece[0] + 6))
            assert len(shown[-1]) == 15
        # The four pieces of the long video take turns.
        assert set().union(*shown) == set(range(29))


def test_mode(log):
    def mode(shuffle, test_mode=False, world_size=1, **kwargs):
        dataset = SamplerTestKeyedDataset([2, 3, 2, 3], test_mode=test_mode)
        return StreamBatchSampler(
            fake_sampler(dataset, shuffle, world_size=world_size), 1,
            **kwargs).mode

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


@pytest.mark.parametrize('world_size', [1, 2])
def test_windows_are_batches_in_a_row(world_size, log):
    dataset = SamplerTestKeyedDataset([5, 1, 4, 2, 2, 7, 3])
    for rank in range(world_size):
        sampler = fake_sampler(dataset, True, rank, world_size)
        single = list(StreamBatchSampler(sampler, 2))
        windows = StreamBatchSampler(sampler, 2, unroll=5)
        assert len(windows) == len(list(windows)) == -(-len(single) // 5)
        assert sum(windows, []) == sum(single, [])
        assert {len(x) for x in list(windows)[:-1]} == {10}
        assert f'{len(windows)} windows of 5 clips' in log[-1][1]
        assert list(StreamBatchSampler(sampler, 2, unroll=1)) == single


def test_log_names_padding_and_remedy(log):
    def last(lengths, batch_size, **kwargs):
        StreamBatchSampler(
            fake_sampler(SamplerTestKeyedDataset(lengths)), batch_size,
            **kwargs)
        return log[-1]

    level, text = last([4] * 8, 4)
    assert level == 20
    assert '8 videos with 32 clips in 4 lanes' in text
    assert '0 of 32 places (0.0%) repeat' in text
    level, text = last([30] * 9, 8)
    assert level > 20 and '210 of 480 places (43.8%)' in text
    assert 'split_videos=True' in text
    level, text = last([30] * 9, 8, split_videos=True)
    assert level == 20 and '2 of 272 places' in text
    level, text = last([60, 10, 10, 10], 4)
    assert level > 20 and '60 clips' in text and 'max_stream_len=22' in text
    level, text = last([60, 10, 10, 10], 4, max_stream_len=10)
    assert level == 20 and 'leaves out 50 clips of 1 videos' in text
    assert '0 of 40 places' in text


@pytest.mark.parametrize('kwargs, words', [
    ({'batch_size': 0}, ['batch_size=0']),
    ({'batch_size': 1, 'drop_last': True}, ['drop_last', 'False']),
    ({'batch_size': 1, 'max_stream_len': 0}, ['max_stream_len=0']),
    ({'batch_size': 1, 'mode': 'eval', 'split_videos': True},
     ['split_videos=True', 'training only']),
    ({'batch_size': 1, 'mode': 'eval', 'max_stream_len': 3},
     ['max_stream_len=3', 'training only']),
    ({'batch_size': 1, 'mode': 'eval', 'unroll': 3},
     ['unroll=3', 'training only']),
    ({'batch_size': 4}, ['3 videos', '4 lanes', 'at most 3']),
])
def test_bad_arguments(kwargs, words):
    with pytest.raises(ValueError) as error:
        StreamBatchSampler(
            fake_sampler(SamplerTestKeyedDataset([2, 1, 3])), **kwargs)
    for word in words:
        assert word in str(error.value)


def test_bad_samplers():
    dataset = SamplerTestKeyedDataset([2, 1, 3])
    with pytest.raises(ValueError, match='InfiniteSampler has no `epoch`.*'
                       'DefaultSampler'):
        StreamBatchSampler(InfiniteSampler(dataset, seed=0), 1)
    with pytest.raises(TypeError, match='split_video'):
        StreamBatchSampler(fake_sampler(dataset), 1, split_video=True)


def test_bad_datasets():
    def build(dataset):
        return StreamBatchSampler(fake_sampler(dataset), 1)

    for dataset, words in (([1, 2, 3], 'get_data_info'),
                           (SamplerTestKeyedDataset([]), '0 clips')):
        with pytest.raises(ValueError, match=words):
            build(dataset)
    too_short = SamplerTestKeyedDataset([2, 2])
    too_short.stream_keys = lambda: [('a', 0)]
    with pytest.raises(ValueError, match='1 keys for 4 samples'):
        build(too_short)
    nameless = SamplerTestDataset([2])
    nameless.get_data_info = lambda index: {'filename': 'a.mp4', 'label': 1}
    with pytest.raises(ValueError, match='`video_id`.*stream_keys'):
        build(nameless)


# With the runner


def loader_cfg(shuffle=True, **kwargs):
    return {
        'dataset': {
            'type': 'SamplerTestKeyedDataset',
            'lengths': [4, 3, 6, 5, 2]
        },
        'sampler': {
            'type': 'DefaultSampler',
            'shuffle': shuffle
        },
        'batch_sampler': {
            'type': 'StreamBatchSampler'
        },
        'batch_size': 2,
        'num_workers': 0,
        **kwargs
    }


def build_loader(cfg, seed=5):
    with DefaultScope.overwrite_default_scope('mmaction'):
        loader = Runner.build_dataloader(copy.deepcopy(cfg), seed=seed)
    # The data set refuses get_data_info to prove that planning needs none.
    type(loader.dataset).__getitem__ = lambda self, i: self.stream_keys()[i]
    return loader


def test_runner_builds_it():
    loader = build_loader(loader_cfg())
    sampler = loader.batch_sampler
    assert isinstance(sampler, StreamBatchSampler)
    assert isinstance(sampler.sampler, DefaultSampler)
    assert (sampler.batch_size, sampler.sampler.seed) == (2, 5)
    # mmengine reads the batch size here to scale learning rates.
    assert loader.batch_sampler.batch_size == 2
    lanes = list(zip(*(zip(*batch) for batch in loader)))
    assert len(loader) == len(lanes[0]) == len(sampler)
    for lane in lanes:
        for (video, position), (next_video, next_position) in zip(
                lane, lane[1:]):
            assert (next_video, next_position) == (
                video, position + 1) or next_position == 0


def test_seed_hook_changes_the_order_every_epoch():
    loader = build_loader(loader_cfg())
    runner = MagicMock()
    runner.train_loop.dataloader = loader
    orders = []
    for epoch in range(2):
        runner.epoch = epoch
        DistSamplerSeedHook().before_train_epoch(runner)
        assert loader.batch_sampler.sampler.epoch == epoch
        orders.append(list(loader))
    assert orders[0] != orders[1]
    assert len(orders[0]) == len(orders[1])
    assert loader.dataset.epochs == [0, 1]
    # A run resumed at epoch 1.
    runner.train_loop.dataloader = loader = build_loader(loader_cfg())
    DistSamplerSeedHook().before_train_epoch(runner)
    assert list(loader) == orders[1]


def test_num_batch_per_epoch_is_refused():
    with pytest.raises(ValueError, match='num_batch_per_epoch'):
        build_loader(loader_cfg(num_batch_per_epoch=2))
