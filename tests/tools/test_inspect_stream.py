# Copyright (c) mmaction_memvit contributors. All rights reserved.
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.tools import tool_fixture
from mmaction.registry import DATASETS

tool = tool_fixture('tools/inspect_stream.py')


@DATASETS.register_module(force=True)
class InspectTestDataset:
    """Videos of given lengths, which refuse to be decoded."""

    def __init__(self, lengths, test_mode=False):
        self.lengths, self.test_mode = lengths, test_mode

    def stream_keys(self):
        return [(f'folder/long_name_of_video_{v:03d}.mp4', p)
                for v, length in enumerate(self.lengths)
                for p in range(length)]

    def __len__(self):
        return sum(self.lengths)

    def __getitem__(self, index):
        raise AssertionError('inspecting must not decode')


CONFIG = """
default_scope = 'mmaction'
randomness = dict(seed=3)
train_dataloader = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(type='InspectTestDataset', lengths=[3, 5, 2, 4, 3]))
val_dataloader = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='mmaction.StreamBatchSampler'),
    dataset=dict(type='InspectTestDataset', lengths=[1, 3], test_mode=True))
"""


@pytest.fixture
def inspect(tool, tmp_path, capsys):
    """Run the tool on CONFIG and return what it prints."""
    config = tmp_path / 'config.py'
    config.write_text(CONFIG)

    def run(*args):
        tool.main([str(config), *args])
        return capsys.readouterr().out

    return run


def test_evaluation_table(inspect):
    out = inspect('--split', 'val')
    assert [line.split() for line in out.splitlines()
            if line.startswith('rank 0 lane')] == [
                    ['rank', '0', 'lane', '0', '*of_video_001:0', ':1', ':2'],
                    ['rank', '0', 'lane', '1', '*of_video_000:0', '-', '-']]
    assert 'repeat' not in out
    assert 'eval: 2 videos, 4 clips, 2 lanes' in out
    assert 'rank 0: 3 steps, 4 clips, 2 (50.0%) continue a stream' in out


def test_training_table_and_summary(inspect):
    out = inspect('--steps', '100')
    lanes = [line for line in out.splitlines() if 'rank 0 lane' in line]
    assert len(lanes) == 2
    # 17 clips of 5 videos in two lanes: 9 steps, one clip repeats.
    assert sum(line.count(':') for line in lanes) == 18
    assert sum(line.count('*') for line in lanes) == 6
    assert ('9 steps, 18 clips, 12 (66.7%) continue a stream, 1 (5.6%) '
            'repeat a clip') in out
    # Another seed and another epoch are other plans.
    assert inspect('--steps', '100', '--seed', '3') == out
    assert inspect('--steps', '100', '--seed', '4') != out
    assert inspect('--steps', '100', '--epoch', '1') != out


def test_gap_is_the_models(inspect):
    none = inspect('--cfg-options', 'model.max_gap=0')
    assert '0 (0.0%) continue' in none


def test_a_video_twice_in_a_batch_continues_nothing(tool):
    streams = SimpleNamespace(names=['a', 'b'], by_index=lambda: (
        np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 10, 11, 13])))

    class Sampler(list):
        batch_size, sampler = 2, SimpleNamespace(rank=0)

    def table(batches, max_gap=1):
        sampler = Sampler(batches)
        sampler.streams = streams
        return [x.split()[4:] for x in tool.describe(
            sampler, max_gap, range(9))[0].splitlines()[1:]]

    assert table([[0, 1]]) == [['*a:0'], ['*a:1']]
    assert table([[0, 3], [4, 1], [2, 5], [0]]) == [
        ['*a:0', ':11', ':2', '*a:0'], ['*b:10', ':1', '*b:13', '-']]
    assert table([[3], [4], [5]], 2)[0] == ['*b:10', ':11', ':13']


def test_videos_of_one_name_are_told_apart(tool):
    streams = SimpleNamespace(
        names=['a/x.mp4', 'b/x.mp4', 'b/y.mp4'],
        by_index=lambda: (np.arange(3), np.zeros(3, int)))

    class Sampler(list):
        batch_size, sampler = 3, SimpleNamespace(rank=0)

    sampler = Sampler([[0, 1, 2]])
    sampler.streams = streams
    table, _ = tool.describe(sampler, 1, range(1))
    assert [x.split()[-1] for x in table.splitlines()[1:]] == [
        '*a/x.mp4:0', '*b/x.mp4:0', '*y:0']


def test_steps_shown(inspect):
    out = inspect('--first-step', '4', '--steps', '2')
    heading, lane = out.splitlines()[4:6]
    assert heading.split() == ['4', '5']
    # The first column names the video even where it only goes on.
    assert 'of_video' in lane


def test_several_processes(inspect):
    out = inspect('--world-size', '2')
    assert 'rank 0 lane 1' in out and 'rank 1 lane 1' in out
    assert '4 lanes (2 processes x 2)' in out
    assert 'rank 1 lane 1' not in inspect('--world-size', '2',
                                          '--batch-size', '1')


def test_config_without_stream_sampler(inspect):
    out = inspect('--cfg-options', 'train_dataloader.batch_sampler=None')
    assert 'NOTE: train_dataloader has batch_sampler type None' in out
    assert 'rank 0 lane 1' in out


def test_no_such_split(inspect):
    with pytest.raises(SystemExit, match='no test_dataloader'):
        inspect('--split', 'test')


def test_too_few_videos_names_the_numbers(inspect):
    with pytest.raises(SystemExit, match='5 videos .* 6 lanes'):
        inspect('--batch-size', '6')


def test_no_such_config(tool):
    with pytest.raises(SystemExit, match='nothere.py'):
        tool.main(['nothere.py'])
