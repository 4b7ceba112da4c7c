# X-ViT on EPIC-KITCHENS-100, on trimmed segments. The authors have released no
# settings for it; guesses: those of Kinetics, of 16 frames at 7.5 a second, 5
# clips in tests; a quarter of the channels from either side and no groups, as
# on Something-Something.
_base_ = [
    '../../_base_/models/xvit_base.py',
    '../../_base_/datasets/epic100_trimmed.py',
    '../../_base_/schedule_xvit_30e.py', '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(shift_div=4, group_length=None),
    cls_head=dict(
        _delete_=True,
        type='MultiTaskHead',
        num_classes=dict(verb=97, noun=300),
        head=dict(
            type='MViTHead',
            in_channels=768,
            dropout_ratio=0.5,
            label_smooth_eps=0.1,
            average_clips='prob')))

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_top1', rule='greater'))
