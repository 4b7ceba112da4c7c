# The baseline without memory: MMAction2's MViTv2-S on trimmed segments.
# Guesses: all of the schedule, which is that of MeMViT; 5 clips in tests.
_base_ = [
    'mmaction::_base_/models/mvit_small.py',
    '../../_base_/datasets/epic100_trimmed.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

num_classes = dict(verb=97, noun=300)
model = dict(
    data_preprocessor=dict(
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        # Trimmed segments are no streams, and can be blended.
        blending=dict(
            type='MultiTaskBatchAugment',
            num_classes=num_classes,
            augments=[
                dict(type='MixupBlending', alpha=0.8),
                dict(type='CutmixBlending', alpha=1)
            ])),
    cls_head=dict(
        _delete_=True,
        type='MultiTaskHead',
        num_classes=num_classes,
        head=dict(
            type='MViTHead',
            in_channels=768,
            label_smooth_eps=0.1,
            average_clips='prob')))

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_top1', rule='greater'))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/converted/'
    'mvit-small-p244_16x4x1_kinetics400-rgb_20221021-9ebaaeed.pth')
