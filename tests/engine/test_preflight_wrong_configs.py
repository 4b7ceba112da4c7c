# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Configs with one wrong thing each, of which none is silent."""
from functools import cache

import pytest
from helpers.preflight import ROOT, changed, findings
from helpers.runs import CLIP_LEN, PACK, config, loader
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
ACTIONS = 'avt-base-p16_in21k-pre_32xb3-10x30x1-50e_epic100-anticipation-rgb'
CLIPS = ('avt-memvit-small-p244-causal-m2_k400-pre_8xb8-16x4x1-30e_'
         'epic100-anticipation-rgb')
SHARED = 'slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb'
CHARADES = 'slowfast_r50-memory_k400-pre_8xb2-16x8x1-n4-24e_charades-rgb'
BASES = ('tiny', AVA, EPIC, ANTICIPATION, ACTIONS, SHARED, CHARADES)


@pytest.mark.parametrize('name', BASES)
def test_what_is_changed_here_is_right(name):
    assert findings(right(name)) == []


def first(*steps):
    return lambda pipeline: [*steps, *pipeline]


def without(name):
    return lambda pipeline: [x for x in pipeline if x['type'] != name]


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
CROP = dict(type='CenterCrop', crop_size=16)
POOR = dict(type='PackActionInputs')
FLOW = [PACK[0], dict(type='PackActionInputs', meta_keys=('img_shape', ))]

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
    ('tiny', {'model.data_preprocessor.blending':
              dict(type='CutmixBlending', num_classes=3)}, True,
     ('CutmixBlending', 'model.data_preprocessor.blending=None')),
    ('tiny', {'model.data_preprocessor.mean': None}, False,
     ('mean=None', 'model.data_preprocessor.mean')),
    ('tiny', {'model.data_preprocessor.to_rgb': True}, False,
     ('to_rgb=True', 'model.data_preprocessor.to_rgb=False')),
    ('tiny', {'model.data_preprocessor.format_shape': 'NCHW'}, True,
     ("'NCTHW'", "format_shape='NCHW'")),
    ('tiny', {'model.max_streams': 1}, True,
     ('max_streams=1', '2 streams', 'model.max_streams=None')),
    ('tiny', {'model.cls_head.average_clips': None}, True,
     ('average_clips=None', "model.cls_head.average_clips='prob'")),
    ('tiny', {'model.backbone.temporal_size': 8}, False,
     ('clip_len=4', 'temporal_size=8', 'model.backbone.temporal_size=4')),
    ('tiny', {'model.backbone.spatial_size': 64}, False,
     ('32x32', '(64, 64)', 'model.backbone.spatial_size=(32, 32)')),
    ('tiny', {'model.type': 'OnlineRecogniser3D'}, True,
     ("'OnlineRecogniser3D'", "model.type='OnlineRecognizer3D'")),
    ('tiny', {VAL + PIPE: instead('FormatShape', dict(
        type='FormatShapes'), PACK[1])}, True,
     ("'FormatShapes'", ".type='FormatShape'")),
    # Features.
    ('tiny', {TRAIN + 'dataset.data_prefix': dict(feature='f')}, True,
     ('features', 'MeMViT', "dict(type='FeatureBackbone')")),
    ('tiny', {TRAIN + 'dataset.data_prefix': dict(feature='f')}, True,
     ('LoadVideoClip', "dict(type='LoadFeatureClip')")),
    ('tiny', {'model.backbone': dict(type='FeatureBackbone')}, True,
     ('frames', 'FeatureBackbone', 'data_prefix')),
    ('tiny', {TRAIN + PIPE: instead('LoadVideoClip', dict(
        type='LoadFeatureClip'))}, True,
     ('LoadFeatureClip', "dict(type='LoadVideoClip')")),
    # Hooks.
    ('tiny', {'custom_hooks': []}, True,
     ("custom_hooks = [dict(type='MemoryBankHook')]", )),
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
    ('tiny', {TRAIN + 'sampler.shuffle': False}, False,
     ('shuffle=False', 'shuffle=True')),
    ('tiny', {VAL + 'sampler.shuffle': True}, True,
     ('shuffle=True', 'val_dataloader.sampler', 'shuffle=False')),
    ('tiny', {TEST + 'sampler': dict(type='DefaultSampler')}, True,
     ('shuffle=True', 'test_dataloader.sampler', 'shuffle=False')),
    ('tiny', {VAL + 'batch_sampler.mode': 'train'}, True,
     ("mode='train'", 'val_dataloader.batch_sampler')),
    ('tiny', {TEST + 'batch_sampler.split_videos': True}, True,
     ('split_videos=True', 'test_dataloader.batch_sampler')),
    ('tiny', {TEST + 'batch_sampler.max_stream_len': 4}, True,
     ('max_stream_len=4', 'test_dataloader.batch_sampler')),
    ('tiny', {TRAIN + 'num_batch_per_epoch': 5}, True,
     ('num_batch_per_epoch=5', 'train_dataloader')),
    ('tiny', {VAL + 'drop_last': True}, True,
     ('drop_last=True', 'val_dataloader.drop_last=False')),
    ('tiny', {TRAIN + 'collate_fn': dict(type='repeat_pseudo_collate')},
     True, ('repeat_pseudo_collate', 'train_dataloader.collate_fn')),
    (SHARED, {TRAIN + 'batch_sampler': dict(type='StreamBatchSampler')},
     True, ('VideoClipsDataset', 'remove train_dataloader.batch_sampler')),
    # Data sets.
    ('tiny', {VAL + 'dataset': lambda x: dict(
        type='VideoDataset', ann_file='val.txt', pipeline=x['pipeline'])},
     True, ('VideoDataset', "val_dataloader.dataset.type='OnlineVideo")),
    ('tiny', {TRAIN + 'dataset': lambda x: dict(
        type='RepeatDataset', times=2, dataset=x)}, True,
     ('RepeatDataset', 'train_dataloader.dataset')),
    ('tiny', {TRAIN + 'dataset.num_repeats': 2}, True,
     ('num_repeats', '_delete_=True')),
    ('tiny', {VAL + 'dataset.test_mode': False}, False,
     ('test_mode=False', 'val_dataloader.dataset.test_mode=True')),
    ('tiny', {TRAIN + 'dataset.test_mode': True}, False,
     ('test_mode=True', 'train_dataloader.dataset.test_mode=False')),
    ('tiny', {VAL + 'dataset.clip_len': 8}, False,
     ('clip_len=8', 'clip_len=4 in val_dataloader')),
    ('tiny', {TRAIN + 'dataset.clip_len': 3}, True,
     ('clip_len=3', 'clip_len=4 in train_dataloader')),
    ('tiny', {TEST + 'dataset.frame_interval': 2}, False,
     ('frame_interval=2', 'frame_interval=1 in test_dataloader')),
    (AVA, {VAL + 'dataset.keyframe_rate': 2}, False,
     ('keyframe_rate=2', 'keyframe_rate=1 in val_dataloader')),
    ('tiny', {TRAIN + 'dataset.clip_stride': 9}, False,
     ('clip_stride=9', '5 frames', 'train_dataloader.dataset.clip_stride')),
    ('tiny', {VAL + 'dataset.ann_file': str(DATA / 'videos.txt'),
              VAL + 'dataset.data_prefix.video': str(DATA)}, False,
     ('videos.txt', 'val_dataloader.dataset.ann_file')),
    ('tiny', {TRAIN + 'dataset.num_classes': 7}, True,
     ('num_classes=3', 'model.cls_head.num_classes=7')),
    ('tiny', {TRAIN + 'dataset.metainfo': dict(classes=['a', 'b'])}, True,
     ('num_classes=3', 'model.cls_head.num_classes=2')),
    ('tiny', {TRAIN + 'dataset.multi_class': True}, True,
     ('multi_class=True', 'BCELossWithLogits')),
    (AVA, {VAL + 'dataset.type': 'CollaborativeAVADataset'}, True,
     ('CollaborativeAVADataset', "val_dataloader.dataset.type='OnlineAVA")),
    (SHARED, {TRAIN + 'dataset.type': 'OnlineVideoDataset'}, True,
     ('OnlineVideoDataset', "train_dataloader.dataset.type='VideoClips")),
    (EPIC, {VAL + 'dataset.num_tokens': 4}, True,
     ('num_tokens=4', 'val_dataloader.dataset.num_tokens=8')),
    (CLIPS, {'model.cls_head.per_frame': False,
             VAL + 'dataset.num_tokens': 8}, True,
     ('num_tokens=8', 'per_frame=False', 'dataset.num_tokens=1')),
    (ANTICIPATION, {VAL + 'dataset.task': 'recognition'}, True,
     ("task='recognition'", "val_dataloader.dataset.task='anticipation'")),
    (ANTICIPATION, {VAL + 'dataset.tau_a': 2.}, True,
     ('tau_a=1', 'val_evaluator.tau_a=2.0')),
    (ANTICIPATION, {'test_evaluator.tau_a': 0.}, True,
     ('tau_a=0', 'test_evaluator.tau_a=1.0')),
    (ACTIONS, {TRAIN + 'dataset.actions': None}, True,
     ('AVTHead', "train_dataloader.dataset.actions='actions.csv'")),
    (ACTIONS, {'model.cls_head.label_column': 1}, True,
     ('num_nouns=300', 'num_classes=3806', 'label_column=2')),
    (EPIC, {'model.cls_head.num_classes.action': 3806}, True,
     ('MultiTaskHead', 'val_dataloader.dataset.actions=')),
    # Pipelines.
    ('tiny', {TRAIN + PIPE: instead('LoadVideoClip', *STOCK)}, True,
     ('SampleFrames', 'remove', 'train_dataloader.dataset.pipeline')),
    ('tiny', {VAL + PIPE: first(*UNIFORM)}, True,
     ('UniformSample', 'remove', 'val_dataloader.dataset.pipeline')),
    ('tiny', {TEST + PIPE: first(dict(type='DenseSampleFrames', clip_len=4))},
     True, ('DenseSampleFrames', 'test_dataloader.dataset.pipeline')),
    ('tiny', {VAL + PIPE: without('LoadVideoClip')}, True,
     ('LoadVideoClip', 'val_dataloader.dataset.pipeline')),
    ('tiny', {VAL + PIPE: instead('LoadVideoClip', STOCK[2])}, True,
     ('DecordDecode', 'DecordInit', 'LoadVideoClip')),
    ('tiny', {VAL + PIPE: without('PackActionInputs')}, True,
     ('FormatShape', 'PackActionInputs')),
    ('tiny', {VAL + PIPE: instead('PackActionInputs', FLOW[1])}, True,
     ("'video_id'", "'timestamp'", 'val_dataloader.dataset.pipeline')),
    ('tiny', {VAL + 'dataset.ann_format': 'segments',
              VAL + PIPE: instead('PackActionInputs', POOR)}, True,
     ("'segment_id'", 'val_dataloader.dataset.pipeline')),
    ('tiny', {TRAIN + PIPE: instead('FormatShape', dict(
        type='ThreeCrop', crop_size=32), PACK[0])}, True,
     ('ThreeCrop', 'train_dataloader.dataset.pipeline')),
    ('tiny', {VAL + PIPE: instead('FormatShape', CROP, PACK[0])}, False,
     ('16x16', '32x32', 'val_dataloader.dataset.pipeline')),
    ('tiny', {TEST + PIPE: instead('FormatShape', dict(
        type='CenterCrop', crop_size=4), PACK[0])}, True,
     ('4x4', 'stride 8', 'test_dataloader.dataset.pipeline')),
    ('tiny', {TEST + PIPE: instead('Resize', dict(
        type='Resize', scale=(-1, 32)))}, False,
     ('batches of 2', 'CenterCrop in test_dataloader')),
    (AVA, {VAL + PIPE: instead('SampleKeyframeClip', *SAMPLE)}, True,
     ('SampleFrames', 'SampleKeyframeClip')),
    (AVA, {VAL + PIPE: without('SampleKeyframeClip')}, True,
     ('OnlineAVADataset', 'SampleKeyframeClip')),
    (EPIC, {VAL + PIPE: instead('PackActionInputs', POOR)}, True,
     ("'token_times'", 'val_dataloader.dataset.pipeline')),
    (SHARED, {TRAIN + PIPE: instead('SampleFrames', *SAMPLE)}, False,
     ('num_clips=1', 'num_clips=8')),
    (SHARED, {TEST + PIPE: instead('PackActionInputs', POOR)}, False,
     ('ThreeCrop', "'num_clips' in PackActionInputs' meta_keys")),
    # Metrics.
    ('tiny', {'val_evaluator.type': 'AccMetric'}, True,
     ('AccMetric', "val_evaluator = dict(type='VideoAccMetric')")),
    ('tiny', {'test_evaluator': [dict(type='VideoAccMetric'),
                                 dict(type='ConfusionMatrix')]}, True,
     ('ConfusionMatrix', "test_evaluator = dict(type='VideoAccMetric')")),
    (EPIC, {'val_evaluator': dict(type='VideoAccMetric')}, True,
     ('VideoAccMetric', 'EpicRecognitionMetric')),
    ('tiny', {'model.cls_head.type': 'FrameLevelHead'}, True,
     ('VideoAccMetric', "type='OnlineDetectionMetric'")),
    (EPIC, {'val_evaluator.online': False}, True,
     ('online=False', 'val_evaluator.online=True')),
    (EPIC, {'val_evaluator.num_verbs': 5}, True,
     ('num_verbs=5', 'model.cls_head.num_classes.verb=5')),
    (EPIC, {'val_evaluator.ann_file': 'train.csv'}, True,
     ('train.csv', 'val_evaluator.ann_file')),
    (AVA, {'val_evaluator': dict(type='VideoAccMetric')}, True,
     ('VideoAccMetric', "val_evaluator.type='AVADetectionMetric'")),
    (AVA, {'val_evaluator.ann_file': 'train.csv'}, True,
     ('train.csv', 'val_evaluator.ann_file')),
    (AVA, {'val_evaluator.num_classes': 81}, True,
     ('num_classes=81', 'val_evaluator.num_classes=')),
    (AVA, {'model.roi_head.bbox_head.num_classes': 99}, True,
     ('num_classes=99', 'model.roi_head.bbox_head.num_classes=')),
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
