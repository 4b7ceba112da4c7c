# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Anticipation by a model that sees the future is told before it runs."""
import copy
import json

import cv2
import numpy as np
import pytest
import torch
from helpers.epic import MODEL, SIZES, build_model, write_official, write_text
from helpers.online_detection import WIDTHS, write_benchmark
from mmaction.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmaction_memvit.engine.preflight import Run, find_data_problems

META = ('video_id', 'timestamp', 'token_times')
PIPELINE = [dict(type='RawFrameDecode'),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs', meta_keys=META)]
FPS, NUM = 10, 40


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('epic')
    write_official(folder / 'val.csv', [
        (f'P01_01_{i}', start, start + 0.5, i % 4, i % 5)
        for i, start in enumerate((1.6, 2.3, 3.1))])
    write_text(folder / 'info.csv', 'video_id,duration,fps,resolution',
               f'P01_01,{NUM / FPS},{FPS},32x32')
    (folder / 'P01_01').mkdir()
    # Without anything to see: noise is what shows the future.
    for i in range(NUM):
        cv2.imwrite(str(folder / f'P01_01/frame_{i + 1:010d}.jpg'),
                    np.full((32, 32, 3), 90, np.uint8))
    return folder


def epic(root, **options):
    init_default_scope('mmaction')
    return DATASETS.build(
        {**dict(type='OnlineEpicDataset', ann_file=str(root / 'val.csv'),
                data_prefix=dict(img=str(root)), frame_fps=FPS,
                video_info_file=str(root / 'info.csv'), task='anticipation',
                sample_fps=None, clip_len=4, frame_interval=2,
                pipeline=PIPELINE, num_verbs=4, num_nouns=5,
                test_mode=True), **options})


def told(model, dataset, mode='test'):
    """What is found of looking ahead."""
    found = find_data_problems(
        Run(model, {mode: DataLoader(dataset)}, {}, ()))
    return [str(x) for x in found if 'later' in str(x)
            or 'after' in str(x)]


@pytest.mark.parametrize('causal', [True, False])
@pytest.mark.parametrize('mode', ['train', 'test'])
def test_memvit(root, causal, mode):
    model = build_model(causal=causal).train(mode == 'train')
    data, state = epic(root), torch.get_rng_state()
    banks = copy.copy(model.banks)
    found = told(model, data, mode)
    assert len(found) == (not causal)
    assert all('model.backbone.causal=True' in x and 'EpicDataset' in x
               and 'tau_a=1 ' in x for x in found)
    # Nothing of the run is touched.
    assert model.training == (mode == 'train') and model.banks == banks
    assert not any(x.num_clips for x in banks.values())
    assert torch.equal(torch.get_rng_state(), state)
    assert told(model, epic(root, task='recognition')) == []


def test_weights_as_they_are_built(root):
    init_default_scope('mmaction')
    for causal in (True, False):
        model = MODELS.build(
            {**MODEL, 'backbone': {**MODEL['backbone'], 'causal': causal}})
        assert len(told(model, epic(root))) == (not causal)


@pytest.mark.parametrize('per_frame', [True, False])
@pytest.mark.parametrize('is_initialised', [True, False])
def test_any_backbone(root, per_frame, is_initialised):
    init_default_scope('mmaction')
    head = MODEL['cls_head'] if per_frame else dict(
        type='MultiTaskHead', num_classes=SIZES,
        head=dict(type='I3DHead', in_channels=512, average_clips=None))
    model = MODELS.build(dict(
        MODEL, backbone=dict(
            type='ResNet3d', depth=18, pretrained2d=False, pretrained=None,
            conv1_stride_t=1, pool1_stride_t=1, inflate=(1, 1, 1, 1),
            conv1_kernel=(3, 7, 7), temporal_strides=(1, 1, 1, 1)),
        cls_head=dict(head, head={**head['head'], 'in_channels': 512})))
    if is_initialised:
        # Its residual branches begin at zero.
        model.init_weights()
    found = told(model, epic(root, num_tokens=4 if per_frame else 1))
    # A clip with one score has seen what the data set says.
    assert len(found) == per_frame
    assert all('EpicDataset' in x for x in found)


@pytest.mark.parametrize('kind', ['StreamTransformer', 'LongShortMemory',
                                  'looks ahead'])
def test_features_of_online_detection(tmp_path, kind):
    init_default_scope('mmaction')
    write_benchmark(tmp_path, 'thumos14')
    data = DATASETS.build(dict(
        type='OnlineDetectionDataset', benchmark='thumos14', split='test',
        ann_file='data_info.json', data_root=str(tmp_path),
        data_prefix=dict(feature=list(WIDTHS)), targets='target', clip_len=8,
        test_mode=True, pipeline=[
            dict(type='LoadFeatureClip'),
            dict(type='PackActionInputs', meta_keys=(*META, 'start_seconds'))
        ]))
    necks = {'LongShortMemory': dict(work_len=8, long_len=16, seconds=.25)}
    model = MODELS.build(dict(
        type='OnlineRecognizer3D', backbone=dict(type='FeatureBackbone'),
        neck=dict(type=kind if kind in necks else 'StreamTransformer',
                  in_channels=sum(WIDTHS.values()), embed_dims=16,
                  num_heads=2, per_frame=True, **necks.get(kind, {})),
        cls_head=dict(type='FrameLevelHead', num_classes=22,
                      in_channels=16)))
    if kind == 'looks ahead':
        model.neck.register_forward_hook(
            lambda module, args, out: (out[0] + out[0].mean(2, True), out[1]))
    with torch.no_grad():
        model.eval().test_step(pseudo_collate([data[0]]))
    assert len(told(model, data)) == (kind == 'looks ahead')
    if kind == 'StreamTransformer':
        for ahead in (None, False, True):
            (tmp_path / 'flow/extraction.json').write_text(
                json.dumps(dict(model='a', looks_ahead=ahead)))
            found = told(model, data)
            assert len(found) == bool(ahead)
        assert 'flow' in found[0] and 'causal=True' in found[0]
