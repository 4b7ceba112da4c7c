# A small model for small data, from random weights, in minutes on a CPU. The
# clips of JHMDB have 15 to 40 frames; 4 different clips of 8 frames, 2 apart,
# take 19, and shorter videos are left out of training.
#   python tools/data/make_video_list.py data/jhmdb/labels.csv \
#       --out data/jhmdb_clips
#   python tools/data/build_video_index.py data/jhmdb_clips/train.txt \
#       data/jhmdb_clips/val.txt --data-root data/jhmdb \
#       --out data/jhmdb_clips/index.json
_base_ = ['slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py']

num_classes = 21
data = dict(
    data_prefix=dict(video='data/jhmdb'),
    index_file='data/jhmdb_clips/index.json',
    num_classes=num_classes)

model = dict(
    backbone=dict(depth=18, base_channels=16),
    neck=dict(in_channels=128),
    cls_head=dict(in_channels=128, num_classes=num_classes))

clip = dict(clip_len=8, frame_interval=2)
pack = _base_.train_pipeline[-1]
train_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleFrames', num_clips=4, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 72)),
    dict(type='RandomResizedCrop', area_range=(0.4, 1.0)),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'), pack
]
val_pipeline, test_pipeline = ([
    dict(type='VideoInit'),
    dict(type='SampleFrames', num_clips=10, test_mode=True, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, size)),
    dict(type=crop, crop_size=64),
    dict(type='FormatShape', input_format='NCTHW'), pack
] for crop, size in (('CenterCrop', 72), ('ThreeCrop', 64)))
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        ann_file='data/jhmdb_clips/train.txt',
        pipeline=train_pipeline,
        **data))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        ann_file='data/jhmdb_clips/val.txt', pipeline=val_pipeline, **data))
test_dataloader = dict(
    num_workers=1,
    dataset=dict(
        ann_file='data/jhmdb_clips/val.txt', pipeline=test_pipeline, **data))

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=0,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=9), checkpoint=dict(interval=5))
auto_scale_lr = dict(base_batch_size=8)
load_from = None
# On CPUs there is no SyncBatchNorm.
sync_bn = None
