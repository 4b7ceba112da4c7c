# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import numpy as np
import pytest
from helpers.videos import need_shared_data

from mmaction_memvit.annotations.online_detection import (
    BENCHMARKS,
    VideoActions,
    read_actions,
    read_video_names,
    targets_at,
)


@pytest.mark.parametrize('benchmark, classes, train, test, first', [
    ('thumos14', 22, 200, 213, 'video_validation_0000690'),
    ('tvseries', 31, 20, 7, '24_ep1'),
    ('epic100', 0, 495, 138, 'P01_01'),
])
def test_published_lists(benchmark, classes, train, test, first):
    path = str(need_shared_data('oad') / 'testra_data_info.json')
    names = {split: read_video_names(path, benchmark, split)
             for split in ('train', 'test')}
    assert (len(names['train']), len(names['test'])) == (train, test)
    assert not set(names['train']) & set(names['test'])
    assert names['train'][0] == first
    assert len(set(BENCHMARKS[benchmark].names)) == classes


def write_info(path, **changes):
    own = BENCHMARKS['tvseries']
    path.write_text(json.dumps({own.key: {
        'class_names': own.names, 'train_session_set': ['a', 'b'],
        'test_session_set': ['c'], **changes}}))
    return str(path)


def test_own_lists(tmp_path):
    path = write_info(tmp_path / 'info.json')
    assert read_video_names(path, 'tvseries', 'train') == ['a', 'b']
    for changes, word in ((dict(train_session_set=['a', 'a']), 'different'),
                          (dict(class_names=['Clap']), 'Kiss'),
                          (dict(train_session_set=[]), '0 train')):
        with pytest.raises(ValueError, match=word):
            read_video_names(write_info(tmp_path / 'info.json', **changes),
                             'tvseries', 'train')
    with pytest.raises(ValueError, match='THUMOS'):
        read_video_names(path, 'thumos14', 'train')


def write_thumos(folder, **lists):
    for name in BENCHMARKS['thumos14'].names[1:]:
        (folder / f'{name}_test.txt').write_text(lists.get(name, ''))
    return str(folder)


def shown(actions, num, num_classes, rate=4.):
    """Classes that go on in the middle of each of so many features."""
    targets = targets_at(actions, (np.arange(num) + .5) / rate, num_classes)
    return [np.flatnonzero(row).tolist() for row in targets]


def test_lists_of_thumos14(tmp_path):
    folder = write_thumos(
        tmp_path, Diving='v1  0.5 2.0\nv2 1 1.5\n',
        CliffDiving='v1  0.5 2.0\n', Ambiguous='v1 2.2 3.1 \n\n')
    actions = read_actions(folder, 'thumos14', 'test')
    assert set(actions) == {'v1', 'v2'}
    assert sorted(actions['v1'].classes.tolist()) == [5, 8, 21]
    # Middles are 0.125, 0.375, 0.625 and so on.
    assert shown(actions['v1'], 16, 22) == (
        [[0]] * 2 + [[5, 8]] * 6 + [[0]] + [[21]] * 3 + [[0]] * 4)
    assert shown(actions['v2'], 8, 22) == [[0]] * 4 + [[8]] * 2 + [[0]] * 2
    with pytest.raises(FileNotFoundError, match='BaseballPitch_val.txt'):
        read_actions(folder, 'thumos14', 'train')


@pytest.mark.parametrize('line', ['v1 2 1', 'v1 1', 'v1 a 2', 'v1 -1 2'])
def test_bad_lists_of_thumos14(tmp_path, line):
    folder = write_thumos(tmp_path, HighJump=f'v1 1 2\n{line}\n')
    with pytest.raises(ValueError, match='HighJump_test.txt:2'):
        read_actions(folder, 'thumos14', 'test')


def test_lists_of_tvseries(tmp_path):
    flags = '\t'.join('1' + '0' * 11)
    lists = dict(
        train=f'24_ep1\tPoint\t1.0\t2.0\t{flags}\tsays "no, no"\n'
        f'24_ep1\tGet in/out of car\t1.5\t2.5\t{flags}\n',
        val='24_ep2\tClap\t0\t0.25\n', test='\n')
    for part, text in lists.items():
        (tmp_path / f'GT-{part}.txt').write_text(text)
    actions = read_actions(str(tmp_path), 'tvseries', 'train')
    assert shown(actions['24_ep1'], 12, 31) == (
        [[0]] * 4 + [[2]] * 2 + [[2, 18]] * 2 + [[18]] * 2 + [[0]] * 2)
    assert shown(actions['24_ep2'], 2, 31) == [[23], [0]]
    for line in ('24_ep1\tJuggle\t1\t2', '24_ep1 Point 1 2',
                 '24_ep1\tBackground\t1\t2', '24_ep1\tPoint\t2\t1'):
        (tmp_path / 'GT-val.txt').write_text(f'x\tPoint\t1\t2\n{line}\n')
        with pytest.raises(ValueError, match='GT-val.txt:2'):
            read_actions(str(tmp_path), 'tvseries', 'test')


def test_instants():
    """Any, in any order; none has no class, not even the background."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 12, (40, 2)), 1)
    classes = rng.integers(1, 5, 40)
    instants = np.append(rng.uniform(0, 20, 60), times[:5].ravel())
    targets = targets_at(VideoActions(classes, times), instants, 5)
    for instant, row in zip(instants, targets):
        going_on = {c for c, (a, b) in zip(classes, times) if a <= instant < b}
        assert set(np.flatnonzero(row)) == (going_on or {0})
    nothing = VideoActions(classes[:0], times[:0])
    assert targets_at(nothing, [1., np.nan], 3).tolist() == [
        [1, 0, 0], [0, 0, 0]]
