# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import numpy as np
import pytest
from helpers.videos import need_shared_data

from mmaction_memvit.annotations.online_detection import (
    BENCHMARKS,
    VideoActions,
    frame_targets,
    make_targets,
    read_targets,
    read_thumos14,
    read_tvseries,
    read_video_names,
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


def test_lists_of_thumos14(tmp_path):
    folder = write_thumos(
        tmp_path, Diving='v1  0.5 2.0\nv2 1 1.5\n',
        CliffDiving='v1  0.5 2.0\n', Ambiguous='v1 2.2 3.1 \n\n')
    actions = read_thumos14(folder, 'test')
    assert set(actions) == {'v1', 'v2'}
    assert sorted(actions['v1'].classes.tolist()) == [5, 8, 21]
    targets = make_targets(actions, dict(v1=16, v2=8, v3=2), 22)
    shown = [np.flatnonzero(row).tolist() for row in targets['v1']]
    # Middles are 0.125, 0.375, 0.625 and so on.
    assert shown == [[0]] * 2 + [[5, 8]] * 6 + [[0]] + [[21]] * 3 + [[0]] * 4
    assert targets['v2'][:, 8].tolist() == [0, 0, 0, 0, 1, 1, 0, 0]
    assert targets['v3'][:, 0].all() and targets['v3'].sum() == 2
    (tmp_path / 'Shotput_test.txt').unlink()
    with pytest.raises(FileNotFoundError, match='Shotput_test.txt'):
        read_thumos14(folder, 'test')


@pytest.mark.parametrize('line', ['v1 2 1', 'v1 1', 'v1 a 2', 'v1 -1 2'])
def test_bad_lists_of_thumos14(tmp_path, line):
    folder = write_thumos(tmp_path, HighJump=f'v1 1 2\n{line}\n')
    with pytest.raises(ValueError, match='HighJump_test.txt:2'):
        read_thumos14(folder, 'test')


FLAGS = '\t'.join('1' + '0' * 11)


def test_lists_of_tvseries(tmp_path):
    path = tmp_path / 'GT-train.txt'
    path.write_text(
        f'24_ep1\tPoint\t1.0\t2.0\t{FLAGS}\tsays "no, no"\n'
        f'24_ep1\tGet in/out of car\t1.5\t2.5\t{FLAGS}\n'
        '24_ep2\tClap\t0\t0.25\n')
    actions = read_tvseries([str(path)])
    targets = frame_targets(actions['24_ep1'], 12, 31)
    assert np.flatnonzero(targets[:, 2]).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(targets[:, 18]).tolist() == [6, 7, 8, 9]
    assert np.flatnonzero(targets[:, 0]).tolist() == [0, 1, 2, 3, 10, 11]
    assert frame_targets(actions['24_ep2'], 2, 31)[:, 23].tolist() == [1, 0]
    for line in ('24_ep1\tJuggle\t1\t2', '24_ep1 Point 1 2'):
        path.write_text(f'24_ep1\tPoint\t1\t2\n{line}\n')
        with pytest.raises(ValueError, match='GT-train.txt:2'):
            read_tvseries([str(path)])


def test_every_chunk_by_its_middle():
    """Whatever the rate, a target shows what its middle shows."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 12, (40, 2)), 1)
    classes = rng.integers(1, 5, 40)
    for rate in (4., 29.97 / 6, 1.):
        targets = frame_targets(VideoActions(classes, times), 33, 5, rate)
        for k in range(33):
            middle = (k + .5) / rate
            shown = {c for c, (a, b) in zip(classes, times)
                     if a <= middle < b} or {0}
            assert set(np.flatnonzero(targets[k])) == shown


def test_actions_after_the_end(log):
    actions = dict(v=VideoActions(np.array([1]), np.array([[9., 10.]])))
    targets = make_targets(actions, dict(v=8), 2)
    assert targets['v'][:, 0].all()
    assert len(log) == 1 and "'v'" in log[0]


def test_published_targets(tmp_path):
    path = str(tmp_path / 'v.npy')
    good = np.eye(4)[[0, 2, 3]]
    np.save(path, good)
    targets = read_targets(path, 4)
    assert targets.dtype == np.uint8 and (targets == good).all()
    for bad in (good[0], good * 2, good * np.nan,
                np.array([{}], object)):
        np.save(path, bad)
        with pytest.raises(ValueError, match='v.npy'):
            read_targets(path, 4)
    np.save(path, good)
    with pytest.raises(ValueError, match='31'):
        read_targets(path, 31)
