# The way from videos to mAP, in minutes on a CPU: a small detector on long
# videos joined from JHMDB clips, made as docs/own_data_ava.md tells, two
# keyframes a second. For data of your own change what is between the lines,
# and start from weights.
_base_ = [
    '../../_base_/models/collaborative_ava_detector.py',
    '../../_base_/datasets/ava22_collaborative.py',
    '../../_base_/schedule_collaborative_ava_18e.py',
    '../../_base_/default_runtime.py'
]

# ---------------------------------------------------------------------------
# Number of actions plus 1: class 0 is reserved.
num_classes = 22
anno_root = 'data/jhmdb_ava'
# Windows of 3 clips, 0.5 s apart. short_video='repeat' if videos are shorter
# than that.
data = dict(
    data_prefix=dict(video='data/jhmdb_long/videos'),
    index_file=f'{anno_root}/index.json',
    label_file=f'{anno_root}/label_map.pbtxt',
    exclude_file=None,
    num_classes=num_classes,
    timestamp_start=0,
    timestamp_end=None,
    keyframe_rate=2,
    num_clips=3,
    clip_stride_seconds=0.5)
# ---------------------------------------------------------------------------

model = dict(
    backbone=dict(
        type='mmaction.ResNet3dSlowOnly',
        depth=18,
        base_channels=16,
        pretrained=None,
        lateral=False,
        conv1_kernel=(1, 7, 7),
        conv1_stride_t=1,
        pool1_stride_t=1,
        spatial_strides=(1, 2, 2, 1),
        inflate=(0, 0, 1, 1),
        norm_eval=False),
    neck=dict(type='mmaction.CollaborativeMemory', in_channels=128),
    roi_head=dict(
        bbox_head=dict(
            in_channels=128,
            num_classes=num_classes,
            focal_gamma=0.,
            focal_alpha=1.,
            dropout_ratio=0.2)))

clip = dict(clip_len=8, frame_interval=4)
train_pipeline = [
    dict(type='SampleKeyframeClip', **clip),
    dict(type='LoadVideoClip'),
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomRescale', scale_range=(96, 120)),
            dict(type='RandomCrop', size=96),
            dict(type='Flip', flip_ratio=0.5)
        ]),
    dict(type='DropLostBoxes'),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=_base_.meta_keys)
]
val_pipeline = [
    dict(type='SampleKeyframeClip', **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 96)),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=_base_.meta_keys)
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        ann_file=f'{anno_root}/train.csv',
        proposal_file=f'{anno_root}/proposals_train.pkl',
        pipeline=train_pipeline,
        **data))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        ann_file=f'{anno_root}/val.csv',
        proposal_file=f'{anno_root}/proposals_val.pkl',
        pipeline=val_pipeline,
        **data))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=f'{anno_root}/val.csv',
    label_file=data['label_file'],
    exclude_file=None,
    num_classes=num_classes)
test_evaluator = val_evaluator

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_begin=2, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1, norm_type=2))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=2))
auto_scale_lr = dict(base_batch_size=8)
sync_bn = None
