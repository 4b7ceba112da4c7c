# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import numpy as np
import pytest
import torch
from helpers.charades import write_frames, write_list, write_videos
from helpers.videos import read_number
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

ROWS = [('46GP8', 'c002 1.00 2.00;c147 0.00 1.50', 2.),
        ('0IH69', '', 1.5),
        ('N11GT', 'c002 0.00 0.50;c002 0.75 1.25;c000 0.30 1.90', 1.25)]
LABELS = [[2, 147], [], [0, 2]]
SAMPLE = dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=3)
PACK = [dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs',
             meta_keys=('video_id', 'num_clips', 'total_frames',
                        'frame_inds'))]


def many_hot(classes, num_classes=157):
    label = torch.zeros(num_classes)
    label[classes] = 1
    return label


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('charades')
    write_list(folder / 'list.csv', ROWS)
    write_videos(folder / 'videos', ROWS)
    (folder / 'videos/N11GT.mp4').rename(folder / 'videos/N11GT.mkv')
    write_frames(folder / 'frames', ROWS)
    return folder


def build(root, pipeline=(), **kwargs):
    return DATASETS.build({**dict(
        type='CharadesDataset', data_root=str(root), ann_file='list.csv',
        data_prefix=dict(video='videos'), pipeline=list(pipeline)),
                           **kwargs})


# Samples


@pytest.mark.parametrize('source', ['videos', 'frames'])
def test_samples_show_what_they_say(root, source):
    kwargs, load = {}, dict(type='LoadVideoClip')
    if source == 'frames':
        kwargs = dict(data_prefix=dict(img='frames'))
        load = dict(type='RawFrameDecode')
    dataset = build(root, [SAMPLE, load, *PACK], **kwargs)
    assert len(dataset) == 3
    for i in range(3):
        info = dataset.get_data_info(i)
        assert info['fps'] == info['avg_fps'] == 24
        assert info['total_frames'] == round(ROWS[i][2] * 24)
        sample = dataset[i]
        labels = sample['data_samples'].gt_label
        assert labels.dtype == torch.float32
        assert torch.equal(labels, many_hot(LABELS[i]))
        meta = sample['data_samples'].metainfo
        assert meta['video_id'] == ROWS[i][0] and meta['num_clips'] == 3
        inputs = sample['inputs']
        assert inputs.shape == (3, 3, 4, 64, 64)
        shown = [read_number(inputs[n, :, t].permute(1, 2, 0).numpy())
                 for n in range(3) for t in range(4)]
        first = int(source == 'frames')
        assert shown == [
            1000 * i + k - first for k in meta['frame_inds'].tolist()]
    # Loader workers and copies have the same.
    loader = DataLoader(
        copy.deepcopy(dataset), 3, num_workers=1, collate_fn=pseudo_collate)
    batch = next(iter(loader))
    assert [x.video_id for x in batch['data_samples']] == [
        row[0] for row in ROWS]
    assert 'video_ids' not in dataset.metainfo


def test_test_mode_names_the_videos(root):
    dataset = build(root, test_mode=True, multi_class=True)
    assert dataset.metainfo['video_ids'] == [row[0] for row in ROWS]
    subset = dataset.get_subset([2, 0])
    assert subset.metainfo['video_ids'] == ['N11GT', '46GP8']
    assert subset[-1]['video_id'] == '46GP8'


@pytest.mark.parametrize('kwargs, words', [
    (dict(multi_class=False), 'multi_class=False'),
    (dict(data_prefix=dict(video='', img='')), r'dict\(video=...\)'),
    (dict(num_classes=100), 'c147.*c000 to c099'),
    (dict(test_mode=True, pipeline=[dict(type='LabelSampledClips')]),
     'LabelSampledClips.*all of their actions'),
])
def test_bad_arguments(root, kwargs, words):
    with pytest.raises(ValueError, match=words):
        build(root, **kwargs)


# Labels of clips


def label_of(frames, times, num_clips=1, fps=10., start_index=0):
    """Classes of actions 0, 1, ... that clips show."""
    results = dict(frame_inds=np.asarray(frames) + start_index,
                   num_clips=num_clips, fps=fps, start_index=start_index,
                   total_frames=99, actions=np.arange(len(times)),
                   action_times=np.asarray(times, float).reshape(-1, 2),
                   label=torch.ones(len(times) + 1))
    label = TRANSFORMS.build(dict(type='LabelSampledClips'))(results)['label']
    assert label.dtype == torch.float32
    return label.nonzero().flatten().tolist()


@pytest.mark.parametrize('start_index', [0, 1])
def test_labels_are_those_of_what_clips_show(start_index):
    # The clip lasts from 1.0 to 1.9 s.
    times = [(0, 1), (0, 1.01), (1.2, 1.3), (1.9, 3), (1.89, 3), (0, 9),
             (float('nan'), float('nan'))]
    assert label_of([10, 14, 18], times, start_index=start_index) == [
        1, 2, 4, 5]
    # Two clips, from 0 to 0.5 s and 2 to 2.5 s, and nothing in between.
    times = [(0.1, 0.2), (0.5, 2), (0.6, 1.9), (2.4, 3)]
    assert label_of([0, 4, 20, 24], times, num_clips=2) == [0, 3]
    assert label_of([0, 4], []) == []
