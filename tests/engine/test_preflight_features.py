# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features that do not fit the model are told before the first step."""
import numpy as np
import pytest
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmaction_memvit.datasets import FeatureStreamDataset
from mmaction_memvit.engine.preflight import Run, find_data_problems

HEAD = dict(type='I3DHead', num_classes=2, average_clips='prob')
NECK = dict(type='StreamTransformer', embed_dims=8, num_heads=2)


@pytest.mark.parametrize('channels', [6, 5])
@pytest.mark.parametrize('neck', [None, NECK])
def test_channels(tmp_path, channels, neck):
    init_default_scope('mmaction')
    (tmp_path / 'list.txt').write_text('a 1\n')
    for name in ('rgb', 'flow'):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / 'a.npy', np.zeros((4, 3)))
    dataset = FeatureStreamDataset(
        'list.txt', data_root=str(tmp_path), fps=1.,
        pipeline=[dict(type='LoadFeatureClip'), dict(type='PackActionInputs')],
        data_prefix=dict(feature=['rgb', 'flow']))
    model = MODELS.build(dict(
        type='OnlineRecognizer3D', backbone=dict(type='FeatureBackbone'),
        neck=neck and dict(neck, in_channels=channels),
        cls_head=dict(HEAD, in_channels=8 if neck else channels)))
    found = find_data_problems(
        Run(model, dict(val=DataLoader(dataset)), {}, ()))
    assert [str(channels) in str(x) and '6' in str(x) for x in found
            ] == [True] * (channels != 6)


@pytest.mark.parametrize('num_classes', [3, 2])
def test_labels_of_rows(tmp_path, num_classes):
    init_default_scope('mmaction')
    (tmp_path / 'list.txt').write_text('a\n')
    for folder in ('rgb', 'label'):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / 'rgb/a.npy', np.zeros((4, 3)))
    np.save(tmp_path / 'label/a.npy', np.array([0, -1, 2, 1]))
    dataset = FeatureStreamDataset(
        'list.txt', data_root=str(tmp_path), fps=1., clip_len=4,
        pipeline=[dict(type='LoadFeatureClip'), dict(type='PackActionInputs')],
        data_prefix=dict(feature='rgb', label='label'))
    model = MODELS.build(dict(
        type='OnlineRecognizer3D', backbone=dict(type='FeatureBackbone'),
        cls_head=dict(type='FrameLevelHead', num_classes=num_classes,
                      in_channels=3)))
    found = find_data_problems(
        Run(model, dict(train=DataLoader(dataset)), {}, ()))
    assert ['labels of the train data go up to 2' in str(x) for x in found
            if x.is_error] == [True] * (num_classes == 2)
