# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from mmaction_memvit.datasets import (
    FeatureStreamDataset,
    OnlineVideoDataset,
    StreamBatchSampler,
)
from mmaction_memvit.video.frames import VideoReadError

PIPELINE = [
    dict(type='LoadFeatureClip'),
    dict(type='PackActionInputs',
         meta_keys=('video_id', 'timestamp', 'start_seconds', 'token_times'))
]
LENGTHS = dict(a=10, b=7)


def features_of(name):
    """Rows that tell their number in the first channel."""
    rows = np.arange(LENGTHS[name], dtype=np.float16)
    return np.stack([rows, rows * 0 + ord(name)], 1)


@pytest.fixture
def root(tmp_path):
    for folder in ('rgb', 'flow', 'label'):
        (tmp_path / folder).mkdir()
    for name, num in LENGTHS.items():
        np.save(tmp_path / f'rgb/{name}.npy', features_of(name))
        np.save(tmp_path / f'flow/{name}.npy', -features_of(name)[:, :1])
        np.save(tmp_path / f'label/{name}.npy', np.eye(3)[np.arange(num) % 3])
    (tmp_path / 'list.txt').write_text('a\nb\n')
    (tmp_path / 'labels.txt').write_text('a 1\nb 2\n')
    # Rows of b begin at 0, 0.5, 1, ...; a segment of a tenth of a second.
    (tmp_path / 'segments.csv').write_text('b,0.9,2.0,2\nb,2.0,3.0,1\n'
                                           'b,0.1,0.2,0\na,0,1,-1\n')
    return tmp_path


def build(root, ann_file='list.txt', label=True, **kwargs):
    prefix = dict(feature=['rgb', 'flow'])
    if label:
        prefix['label'] = 'label'
    kwargs = {
        **dict(data_root=str(root), pipeline=PIPELINE, fps=2., clip_len=4,
               data_prefix=prefix), **kwargs}
    return FeatureStreamDataset(ann_file, **kwargs)


def test_steps(root):
    dataset = build(root)
    assert dataset.stream_keys() == [('a', 0), ('a', 1), ('a', 2), ('b', 0),
                                     ('b', 1)]
    data = dataset[2]
    # Two rows are left, the last of which is repeated.
    assert data['inputs'].shape == (1, 3, 4, 1, 1)
    assert data['inputs'].dtype == torch.float32
    assert data['inputs'][0, :, :, 0, 0].tolist() == [
        [8, 9, 9, 9], [97] * 4, [-8, -9, -9, -9]]
    sample = data['data_samples']
    assert sample.gt_label.tolist() == [[0, 0, 1], [1, 0, 0], [0] * 3, [0] * 3]
    assert sample.start_seconds == 4.
    np.testing.assert_array_equal(
        sample.token_times, [[4, 4.5], [4.5, 5], [np.nan] * 2, [np.nan] * 2])


def test_every_row_once(root):
    dataset = build(root, clip_len=2, frame_interval=2, clip_stride=4)
    rows = [x for i in range(len(dataset))
            for x in dataset.get_data_info(i)['frame_inds'].tolist()]
    assert rows == [0, 2, 4, 6, 8, 9, 0, 2, 4, 6]


def test_labels_of_classes(root):
    for name, num in LENGTHS.items():
        np.save(root / f'label/{name}.npy', np.arange(num, dtype=np.uint8))
    labels = build(root)[1]['data_samples'].gt_label
    assert labels.dtype == torch.int64 and labels.tolist() == [4, 5, 6, 7]
    assert build(root)[2]['data_samples'].gt_label.tolist() == [8, 9, -1, -1]


def test_labels_of_videos(root):
    dataset = build(root, 'labels.txt', label=False)
    assert dataset[4]['data_samples'].gt_label.tolist() == [2, 2, 2, -1]


def test_labels_of_segments(root):
    def labels(**kwargs):
        dataset = build(root, 'segments.csv', label=False, delimiter=',',
                        ann_format='segments', clip_len=7, **kwargs)
        start = dataset.stream_keys().index(('b', 0))
        return dataset[start]['data_samples'].gt_label

    # That of a tenth of a second is shown whole by the first row.
    assert labels().tolist() == [0, -1, 2, 2, 1, 1, -1]
    (root / 'segments.csv').open('a').write('b,2.5,3.5,0\n')
    many = labels(multi_class=True, num_classes=3)
    assert many.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1],
                             [0, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_times_of_files(root):
    times = np.append(np.arange(6) / 4, 9.)
    (root / 'rgb/b.npy').unlink()
    np.savez(root / 'rgb/b.npz', features=features_of('b'), times=times)
    (root / 'b.txt').write_text('b\n')
    dataset = build(root, ann_file='b.txt', fps=None)
    found = np.concatenate([dataset.get_data_info(i)['token_times'][:, 0]
                            for i in range(len(dataset))])
    np.testing.assert_allclose(found[:7], times)
    assert np.isnan(found[7])


def test_segments_by_feature_source(root):
    """Features a frame stand for the video in data sets of videos."""
    dataset = OnlineVideoDataset(
        'segments.csv', data_root=str(root), pipeline=PIPELINE, fps=2.,
        clip_len=2, frame_interval=1, delimiter=',', ann_format='segments',
        data_prefix=dict(feature='rgb'))
    clips = [dataset[i] for i in range(len(dataset))
             if dataset.stream_keys()[i][0] == 'b']
    assert [x['inputs'][0, 0, :, 0, 0].tolist() for x in clips] == [
        [0, 1], [2, 3], [4, 5], [6, 6]]
    assert [x['data_samples'].gt_label.item() for x in clips] == [0, 2, 1, -1]


def test_batches_of_streams(root):
    dataset = build(root)
    sampler = StreamBatchSampler(
        DefaultSampler(dataset, shuffle=False), batch_size=2)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=1,
                        collate_fn=pseudo_collate)
    shapes = [tuple(torch.stack(x['inputs']).shape) for x in loader]
    assert shapes[0] == (2, 1, 3, 4, 1, 1)
    assert sum(x[0] for x in shapes) == 5


@pytest.mark.parametrize('break_it, options, error, told', [
    (lambda x: (x / 'rgb/b.npy').unlink(), {}, FileNotFoundError, 'rgb/b'),
    (lambda x: (x / 'label/b.npy').unlink(), {}, FileNotFoundError, 'label/b'),
    (lambda x: np.save(x / 'label/b.npy', np.zeros(6)), {}, ValueError,
     r'\(6,\) for 7'),
    (lambda x: np.save(x / 'label/b.npy', np.arange(7) / 2), {}, ValueError,
     'such as 0.5'),
    (lambda x: None, dict(num_classes=20), ValueError, 'num_classes=20'),
    (lambda x: None, dict(fps=None), ValueError, 'set fps'),
    (lambda x: None, dict(fps=-2.), ValueError, 'fps=-2.0'),
    (lambda x: (x / 'rgb/b.npy').write_text('b'), {}, ValueError,
     'rgb/b.npy: .*np.save'),
    (lambda x: np.save(x / 'rgb/b.npy', np.full((7, 2), 'x')), {}, ValueError,
     'rgb/b.npy: .*<U1.*float16'),
    (lambda x: (x / 'rgb/b.npy').rename(x / 'rgb/b.npz'), {}, ValueError,
     'rgb/b.npz: .*not a zip'),
    (lambda x: np.save(x / 'flow/b.npy', np.zeros((7, 5))), {}, ValueError,
     "'b' have 7 channels, those of 'a' 3.*Remedy"),
    (lambda x: (x / 'list.txt').write_text('a\nb\na.mp4\n'), {}, ValueError,
     "'a' and 'a.mp4'.*rgb/a.npy"),
    (lambda x: np.save(x / 'flow/b.npy', np.zeros((8, 1))), {}, ValueError,
     r'\[7, 8\]'),
])
def test_faults_are_told_at_the_start(root, break_it, options, error, told):
    break_it(root)
    with pytest.raises(error, match=told):
        build(root, **options)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_numbers_that_are_none_are_told(root, value):
    rows = features_of('b')
    rows[5, 1] = value
    np.save(root / 'rgb/b.npy', rows)
    dataset = build(root, test_mode=True)
    with pytest.raises(VideoReadError,
                       match=r'rgb/b.npy.* 1 of .*Remedy') as e:
        dataset[4]
    # One remedy, and no tuple.
    assert str(e.value).count('Remedy') == 1 and '((' not in str(e.value)


def test_missing_videos_may_be_left_out(root, warnings):
    (root / 'rgb/b.npy').unlink()
    dataset = build(root, missing_video='skip')
    assert dataset.video_ids == ['a']
    assert any('rgb/b' in x for x in warnings)


def test_features_only(root):
    with pytest.raises(ValueError, match='feature'):
        build(root, data_prefix=dict(video='rgb'))
    assert DATASETS.get('FeatureStreamDataset') is FeatureStreamDataset
