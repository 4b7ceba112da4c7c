# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Runs on EPIC-KITCHENS that see the future, learn or score nothing."""
import copy
import json

import cv2
import numpy as np
import pytest
import torch
from helpers.epic import MODEL, SIZES, build_model, write_official, write_text
from helpers.online_detection import WIDTHS, write_benchmark
from mmaction.registry import DATASETS, METRICS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmaction_memvit.engine.preflight import Run, find_data_problems

META = ('video_id', 'timestamp', 'token_times')
PIPELINE = [dict(type='RawFrameDecode'),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs', meta_keys=META)]
FPS, NUM = 10, 40
GRID = ('sample_fps', 'clip_len', 'frame_interval')


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


def epic(root, _drop=(), **options):
    init_default_scope('mmaction')
    config = {
        **dict(type='OnlineEpicDataset', ann_file=str(root / 'val.csv'),
               data_prefix=dict(img=str(root)), frame_fps=FPS,
               video_info_file=str(root / 'info.csv'), task='anticipation',
               sample_fps=None, clip_len=4, frame_interval=2,
               pipeline=PIPELINE, num_verbs=4, num_nouns=5,
               test_mode=True), **options}
    return DATASETS.build({k: x for k, x in config.items() if k not in _drop})


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


# Segments without labels, and without samples.


@pytest.mark.parametrize('kind', ['OnlineEpicDataset', 'EpicDataset'])
def test_lists_without_labels(root, kind):
    for name, row in (('test', ('P01_01_0', 1.6, 2.1)),
                      ('one', ('P01_01_1', 2.6, 3.1, 0, 0))):
        write_official(root / f'{name}.csv', [row])
        data = epic(root, ann_file=str(root / f'{name}.csv'), type=kind,
                    task='recognition', _drop=() if kind[0] == 'O' else GRID)
        found = [str(x) for x in find_data_problems(
            Run(build_model(), dict(train=DataLoader(data)), {}, ()))
            if x.is_error]
        assert ['nothing to learn' in x and 'train_dataloader.dataset' in x
                for x in found] == [True] * (name == 'test')


ENDS = NUM / FPS


@pytest.mark.parametrize('kind, options, rows, lost', [
    ('OnlineEpicDataset', {}, [('P09_01_0', 2., 3.)], 'P09_01_0'),
    ('EpicDataset', {}, [('P09_01_0', 2., 3.)], 'P09_01_0'),
    ('OnlineEpicDataset', {}, [('P01_01_3', ENDS + 1.1, ENDS + 2.)],
     'P01_01_3'),
    # The last token is near enough.
    ('OnlineEpicDataset', {}, [('P01_01_3', ENDS + .9, ENDS + 2.)], ''),
    ('OnlineEpicDataset', dict(task='anticipation'),
     [('P01_01_3', ENDS + 2.1, ENDS + 3.)], 'P01_01_3'),
    ('OnlineEpicDataset', dict(task='anticipation'),
     [('P01_01_3', ENDS + 1.1, ENDS + 3.), ('P09_01_0', .9, 3.)], ''),
    ('EpicDataset', {}, [('P01_01_3', ENDS + 1.1, ENDS + 2.)], ''),
    ('EpicDataset', dict(outside_video='skip'),
     [('P01_01_3', ENDS + .1, ENDS + 2.)], 'P01_01_3'),
])
def test_segments_without_samples(root, kind, options, rows, lost):
    path = write_official(root / 'more.csv', [('P01_01_0', 1.6, 2.1), *rows])
    write_text(root / 'info.csv', 'video_id,duration,fps,resolution',
               f'P01_01,{NUM / FPS},{FPS},32x32', f'P09_01,9,{FPS},32x32')
    task = {'task': 'recognition', **options}
    data = epic(root, ann_file=path, type=kind, missing_video='skip', **task,
                _drop=() if kind[0] == 'O' else GRID)
    metric = dict(
        type='Epic' + task['task'].capitalize() + 'Metric', ann_file=path,
        num_verbs=4, num_nouns=5, online=kind[0] == 'O')

    def found(metric):
        return [str(x) for x in find_data_problems(
            Run(build_model(), dict(test=DataLoader(data)),
                dict(test=metric), ())) if 'missing' in str(x)]

    for form in metric, METRICS.build(metric):
        told = found(form)
        assert [lost in x and 'leave_out' in x for x in told
                ] == [True] * bool(lost)
    assert not found(dict(metric, missing='leave_out'))
