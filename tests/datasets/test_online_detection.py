# Copyright (c) mmaction_memvit contributors. All rights reserved.
import cv2
import numpy as np
import pytest
import torch
from helpers.online_detection import (
    LENGTHS,
    NUM_VERBS,
    write_actions,
    write_benchmark,
)
from helpers.videos import number_image, read_number, write_video
from mmaction.registry import DATASETS
from mmengine.registry import init_default_scope

PIPELINE = [
    dict(type='LoadFeatureClip'),
    dict(type='PackActionInputs',
         meta_keys=('video_id', 'timestamp', 'start_seconds', 'token_times'))
]


@pytest.fixture(scope='module')
def thumos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('thumos')
    targets = write_benchmark(folder, 'thumos14')
    write_actions(folder / 'lists', targets)
    return folder, targets


def build(folder, benchmark='thumos14', **kwargs):
    init_default_scope('mmaction')
    if 'actions' not in kwargs:
        kwargs.setdefault('targets', 'target')
    return DATASETS.build({
        **dict(type='OnlineDetectionDataset', ann_file='data_info.json',
               data_root=str(folder),
               data_prefix=dict(feature=['rgb', 'flow']), benchmark=benchmark,
               split='test', clip_len=8, test_mode=True,
               pipeline=PIPELINE), **kwargs})


def every_label(dataset):
    """Labels of each video, without padding."""
    found = {}
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        real = ~np.isnan(sample.token_times).any(1)
        assert not sample.gt_label[~real].any()
        found.setdefault(sample.video_id, []).append(sample.gt_label[real])
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


@pytest.mark.parametrize('source', [dict(targets='target'),
                                    dict(actions='lists')])
@pytest.mark.parametrize('split', ['train', 'test'])
def test_labels_are_the_targets(thumos, source, split):
    """The same, of the published arrays and of the official lists."""
    folder, targets = thumos
    dataset = build(folder, split=split, **source)
    found = every_label(dataset)
    assert {k: len(x) for k, x in found.items()} == {
        f'{split}_{i}': n for i, n in enumerate(LENGTHS[split])}
    for name, shares in found.items():
        expected = targets[name].copy()
        assert (expected[:, 21] > 0).sum() == 2
        expected[expected[:, 21] > 0] = 0
        np.testing.assert_array_equal(shares > 0, expected > 0)
        sums = shares.sum(1)
        np.testing.assert_allclose(sums[expected.any(1)], 1, atol=1e-6)
    sample = dataset[0]
    assert sample['inputs'].shape == (1, 12, 8, 1, 1)
    # Four features a second.
    assert sample['data_samples'].token_times[1].tolist() == [.25, .5]


def test_classes_share_a_frame(thumos):
    folder, targets = thumos
    found = every_label(build(folder, split='train'))
    counts = np.concatenate([targets[x][:, :21] for x in found]).sum(1)
    shares = np.concatenate(list(found.values()))
    assert counts.max() >= 2
    np.testing.assert_allclose(
        shares.max(1)[counts > 0], 1 / counts[counts > 0], atol=1e-6)


def test_tasks_stand_side_by_side(tmp_path):
    targets = write_benchmark(tmp_path, 'epic100')
    found = every_label(build(tmp_path, 'epic100', targets=['verb', 'noun']))
    for name, shares in found.items():
        np.testing.assert_array_equal(shares > 0, targets[name] > 0)
        for part in np.split(shares, [NUM_VERBS], 1):
            np.testing.assert_allclose(part.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize('kind', ['video', 'img'])
def test_videos(thumos, tmp_path, kind):
    """Clips of videos, each of whose tokens has the label of its middle."""
    folder, targets = thumos
    load, own = dict(type='LoadVideoClip'), {}
    if kind == 'img':
        load, own = dict(type='RawFrameDecode'), dict(fps=24., start_index=3)
    for i, length in enumerate(LENGTHS['test']):
        # Six frames to a target.
        if kind == 'video':
            write_video(tmp_path / f'test_{i}.mp4', 6 * length, rate=24)
        for k in range(6 * length if kind == 'img' else 0):
            (tmp_path / f'test_{i}').mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f'test_{i}/img_{k + 3:05}.jpg'),
                        number_image(k))
    dataset = DATASETS.build(
        dict(
            type='OnlineDetectionVideoDataset',
            ann_file=str(folder / 'data_info.json'),
            data_prefix={kind: str(tmp_path)}, benchmark='thumos14', **own,
            split='test', actions=str(folder / 'lists'), clip_len=8,
            frame_interval=6, num_tokens=8, short_video='pad', test_mode=True,
            pipeline=[
                load,
                dict(type='FormatShape', input_format='NCTHW'), PIPELINE[1]]))
    found = every_label(dataset)
    for name, shares in found.items():
        expected = targets[name].copy()
        expected[expected[:, 21] > 0] = 0
        np.testing.assert_array_equal(shares > 0, expected > 0)
    clip = dataset[1]['inputs']
    assert clip.shape[:3] == (1, 3, 8)
    # Frames 48, 54, ... of the video.
    shown = [read_number(x.permute(1, 2, 0).numpy()) for x in clip[0].unbind(1)
             ]
    assert shown == [48 + 6 * k for k in range(len(shown))]


@pytest.mark.parametrize('options, words', [
    (dict(targets=None), 'targets=None'),
    (dict(benchmark='tvseries'), 'TVSeries'),
    (dict(split='val'), 'split'),
    (dict(targets='rgb'), 'num_classes=22'),
    (dict(targets='cut'), r'\(9, 22\)'),
    (dict(actions='others'), 'someone'),
])
def test_what_does_not_fit_is_told_at_the_start(thumos, options, words):
    folder, targets = thumos
    (folder / 'cut').mkdir(exist_ok=True)
    for name, array in targets.items():
        np.save(folder / f'cut/{name}.npy', array[:9])
    if 'actions' in options:
        write_actions(folder / 'others', {'test_someone': targets['test_0']})
    with pytest.raises(ValueError, match=words):
        build(folder, **options)


@pytest.mark.parametrize('options', [dict(targets='nothing'),
                                     dict(ann_file='none.json')])
def test_files_that_are_not_there_are_told(thumos, options):
    with pytest.raises(FileNotFoundError, match='no.*Remedy'):
        build(thumos[0], **options)


def test_targets_that_are_none(thumos):
    folder, targets = thumos
    (folder / 'scores').mkdir()
    for name, array in targets.items():
        np.save(folder / f'scores/{name}.npy', array * .5)
    dataset = build(folder, targets='scores')
    with pytest.raises(ValueError, match='zeros and ones'):
        dataset[0]


def test_actions_after_the_end(thumos, warnings):
    folder, targets = thumos
    late = {**targets, 'test_0': np.tile(targets['test_0'], (3, 1))}
    write_actions(folder / 'late', late)
    build(folder, actions='late')
    assert any("'test_0'" in x and '1 of 3' in x for x in warnings)
