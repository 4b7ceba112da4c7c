# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Configs with one wrong thing each, of which none is silent."""
from functools import cache

import pytest
from helpers.preflight import ROOT, changed, findings
from helpers.runs import CLIP_LEN, config, loader
from mmengine.config import Config

CONFIGS = ROOT / 'configs'
DATA = ROOT / 'data'


@cache
def right(name):
    """A config that is right, before it is changed."""
    if name == 'tiny':
        return config(
            'work_dirs/tiny', loader(DATA, train=True),
            *(loader(DATA, train=False, ann_file='val.txt') for _ in range(2)))
    if name == AVA:
        pytest.importorskip('mmdet')
    path, = CONFIGS.rglob(f'{name}.py')
    return Config.fromfile(str(path))


AVA = 'memvit-small-p244-m2_1xb4-16x4x1-10e_custom-ava-rgb'
EPIC = 'memvit-small-p244-m2_k400-pre_8xb8-16x4x1-30e_epic100-rgb'
ANTICIPATION = ('memvit-small-p244-causal-m2_k400-pre_8xb8-16x4x1-30e_'
                'epic100-anticipation-rgb')
SHARED = 'slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb'
CHARADES = 'slowfast_r50-memory_k400-pre_8xb2-16x8x1-n4-24e_charades-rgb'
BASES = ('tiny', AVA, EPIC, ANTICIPATION, SHARED, CHARADES)


@pytest.mark.parametrize('name', BASES)
def test_what_is_changed_here_is_right(name):
    assert findings(right(name)) == []


def first(*steps):
    return lambda pipeline: [*steps, *pipeline]


def instead(name, *steps):

    def replace(pipeline):
        at = [x['type'] for x in pipeline].index(name)
        return [*pipeline[:at], *steps, *pipeline[at + 1:]]

    return replace


TRAIN, VAL, TEST = ('train_dataloader.', 'val_dataloader.', 'test_dataloader.')
PIPE = 'dataset.pipeline'
STOCK = [dict(type='DecordInit'),
         dict(type='SampleFrames', clip_len=CLIP_LEN, frame_interval=1),
         dict(type='DecordDecode')]
SAMPLE = [dict(type='SampleFrames', clip_len=8, frame_interval=2)]
UNIFORM = [dict(type='UniformSample', clip_len=CLIP_LEN)]

# Base, what is changed, whether it is an error, what the message says.
WRONG = [
    # The model.
    ('tiny', {'model.type': 'Recognizer3D'}, True,
     ('MeMViT', 'mem_len=2', "model.type='OnlineRecognizer3D'")),
    ('tiny', {'model.type': 'CollaborativeRecognizer3D'}, True,
     ('mem_len=2', 'model.backbone.mem_len=0')),
    (AVA, {'model.type': 'FastRCNN'}, True,
     ('mem_len=2', "model.type='OnlineFastRCNN'")),
    ('tiny', {'model.data_preprocessor.blending':
              dict(type='MixupBlending', num_classes=3)}, True,
     ('MixupBlending', 'model.data_preprocessor.blending=None')),
    ('tiny', {'model.data_preprocessor.mean': None}, False,
     ('mean=None', 'model.data_preprocessor.mean')),
    ('tiny', {'model.data_preprocessor.to_rgb': True}, False,
     ('to_rgb=True', 'model.data_preprocessor.to_rgb=False')),
    ('tiny', {'model.cls_head.average_clips': None}, True,
     ('average_clips=None', "model.cls_head.average_clips='prob'")),
    # Features.
    ('tiny', {TRAIN + 'dataset.data_prefix': dict(feature='f')}, True,
     ('features', 'MeMViT', "dict(type='FeatureBackbone')")),
    ('tiny', {'model.backbone': dict(type='FeatureBackbone')}, True,
     ('frames', 'FeatureBackbone', 'data_prefix')),
    # Hooks.
    ('tiny', {'custom_hooks': [dict(type='StepSeedHook')]}, True,
     ("custom_hooks = [dict(type='MemoryBankHook')]", )),
    # Batches and their order.
    ('tiny', {TRAIN + 'batch_sampler': None}, True,
     ('shuffle=True', "train_dataloader.batch_sampler=dict(type='Stream")),
    ('tiny', {VAL + 'batch_sampler': None}, True,
     ('batches of 2', "val_dataloader.batch_sampler=dict(type='Stream")),
    ('tiny', {TEST + 'batch_sampler': None, TEST + 'batch_size': 1,
              TEST + 'sampler.shuffle': True}, True,
     ('shuffle=True', "test_dataloader.batch_sampler=dict(type='Stream")),
    ('tiny', {TRAIN + 'batch_sampler':
              dict(type='DistinctVideoBatchSampler')}, True,
     ('DistinctVideoBatchSampler',
      "train_dataloader.batch_sampler=dict(type='StreamBatchSampler')")),
    # Data sets.
    ('tiny', {VAL + 'dataset.test_mode': False}, False,
     ('test_mode=False', 'val_dataloader.dataset.test_mode=True')),
    ('tiny', {TRAIN + 'dataset.test_mode': True}, False,
     ('test_mode=True', 'train_dataloader.dataset.test_mode=False')),
    ('tiny', {VAL + 'dataset.clip_len': 8}, False,
     ('clip_len=8', 'clip_len=4 in val_dataloader')),
    ('tiny', {TEST + 'dataset.frame_interval': 2}, False,
     ('frame_interval=2', 'frame_interval=1 in test_dataloader')),
    ('tiny', {TRAIN + 'dataset.multi_class': True}, True,
     ('multi_class=True', 'BCELossWithLogits')),
    (SHARED, {TRAIN + 'dataset.type': 'OnlineVideoDataset'}, True,
     ('OnlineVideoDataset', "train_dataloader.dataset.type='VideoClips")),
    (ANTICIPATION, {VAL + 'dataset.task': 'recognition'}, True,
     ("task='recognition'", "val_dataloader.dataset.task='anticipation'")),
    # Pipelines.
    ('tiny', {TRAIN + PIPE: instead('LoadVideoClip', *STOCK)}, True,
     ('SampleFrames', 'remove', 'train_dataloader.dataset.pipeline')),
    ('tiny', {VAL + PIPE: first(*UNIFORM)}, True,
     ('UniformSample', 'remove', 'val_dataloader.dataset.pipeline')),
    ('tiny', {TEST + PIPE: first(dict(type='DenseSampleFrames', clip_len=4))},
     True, ('DenseSampleFrames', 'test_dataloader.dataset.pipeline')),
    ('tiny', {TEST + PIPE: instead('Resize', dict(
        type='Resize', scale=(-1, 32)))}, False,
     ('batches of 2', 'CenterCrop in test_dataloader')),
    (AVA, {VAL + PIPE: instead('SampleKeyframeClip', *SAMPLE)}, True,
     ('SampleFrames', 'SampleKeyframeClip')),
    (SHARED, {TRAIN + PIPE: instead('SampleFrames', *SAMPLE)}, False,
     ('num_clips=1', 'num_clips=8')),
    # Metrics.
    ('tiny', {'val_evaluator.type': 'AccMetric'}, True,
     ('AccMetric', "val_evaluator = dict(type='VideoAccMetric')")),
    ('tiny', {'test_evaluator': [dict(type='VideoAccMetric'),
                                 dict(type='ConfusionMatrix')]}, True,
     ('ConfusionMatrix', "test_evaluator = dict(type='VideoAccMetric')")),
    (EPIC, {'val_evaluator.ann_file': 'train.csv'}, True,
     ('train.csv', 'val_evaluator.ann_file')),
    (AVA, {'val_evaluator.ann_file': 'train.csv'}, True,
     ('train.csv', 'val_evaluator.ann_file')),
    (AVA, {'val_evaluator.num_classes': 81}, True,
     ('num_classes=81', 'val_evaluator.num_classes=')),
    (CHARADES, {'model.cls_head.average_clips': 'prob'}, True,
     ("average_clips='prob'", 'model.cls_head.average_clips=None')),
]


@pytest.mark.parametrize(
    'base,changes,is_error,words', WRONG,
    ids=[f'{i}-{list(x[1])[-1]}' for i, x in enumerate(WRONG)])
def test_it_is_told(base, changes, is_error, words):
    found = findings(changed(right(base), **changes))
    assert found, 'silent'
    # The finding that names value and line.
    texts = [str(x) for x in found if x.is_error == is_error]
    assert any(all(w in text for w in words) for text in texts), found
    assert all(x.where and x.problem and x.change for x in found)
