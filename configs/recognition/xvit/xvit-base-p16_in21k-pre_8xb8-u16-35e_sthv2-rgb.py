# X-ViT on Something-Something V2: 67.19 published, of 2 clips x 3 crops. One
# frame of each of 16 equal parts of a video, a quarter of the channels from
# either side, all 16 frames mixed, no mirror, no mixup, no label smoothing.
_base_ = [
    '../../_base_/models/xvit_base.py', '../../_base_/schedule_xvit_30e.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(shift_div=4, group_length=None),
    cls_head=dict(num_classes=174, label_smooth_eps=0.))

start = [
    dict(type='DecordInit'),
    dict(type='UniformSampleFrames', clip_len=16, num_clips=1),
    dict(type='DecordDecode')
]
pack = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
train_pipeline = [
    *start,
    dict(type='RandomRescale', scale_range=(256, 320)),
    dict(type='RandomCrop', size=224),
    # One policy for all frames of a clip; needs torchvision.
    dict(type='TorchVisionWrapper', op='AutoAugment'), *pack
]
val_pipeline = [
    start[0],
    dict(start[1], test_mode=True), start[2],
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224), *pack
]
test_pipeline = [
    start[0],
    dict(start[1], num_clips=2, test_mode=True), start[2],
    dict(type='Resize', scale=(-1, 224)),
    dict(type='ThreeCrop', crop_size=224), *pack
]

loader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True)
dataset = dict(
    type='VideoDataset', data_prefix=dict(video='data/sthv2/videos'))
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='data/sthv2/sthv2_train_list_videos.txt',
        pipeline=train_pipeline,
        **dataset),
    **loader)
dataset.update(
    ann_file='data/sthv2/sthv2_val_list_videos.txt', test_mode=True)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=val_pipeline, **dataset),
    **loader)
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, **dataset),
    **loader)
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator

# 35 epochs, 5 of them from a tenth of the rate on.
train_cfg = dict(max_epochs=35)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=30,
        eta_min=0.,
        by_epoch=True,
        begin=5,
        end=35,
        convert_to_iter_based=True)
]
