# Collaborative memory on your own short videos, on one GPU: the clips of a
# video learn together. Complete: copy this file to anywhere, change what is
# between the lines, and train. docs/collaborative.md tells of other backbones.
_base_ = [
    'mmaction::_base_/models/slowonly_r50.py',
    'mmaction::_base_/default_runtime.py'
]
custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)

# ---------------------------------------------------------------------------
num_classes = 10
data_root = 'data/custom'
# Lines `path label`; of a folder of folders, one a class,
# tools/data/make_video_list.py makes them.
ann_file_train = f'{data_root}/train.txt'
ann_file_val = f'{data_root}/val.txt'
video_folder = f'{data_root}/videos'
index_file = f'{data_root}/index.json'
# N clips of each video in training, of 8 frames, frame_interval apart. Videos
# with fewer than 8 * frame_interval + N - 1 frames are left out of training.
num_clips = 8
frame_interval = 8
# MMAction2's SlowOnly-50, trained on Kinetics-400, is fetched once. Without a
# network put the file somewhere and name its path here.
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb/'
    'slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb_20220901-2132fc87.pth')
batch_size = 2  # videos
num_workers = 4
max_epochs = 10
# ---------------------------------------------------------------------------

# Two videos make no statistics: the backbone's normalisation stays as it was
# trained, the memory has none. With load_from = None, that is from random
# weights, take norm_eval=False, and 8 videos in a batch.
model = dict(
    type='CollaborativeRecognizer3D',
    backbone=dict(pretrained=None, norm_eval=True),
    neck=dict(type='CollaborativeMemory', in_channels=2048, norm_cfg=None),
    cls_head=dict(num_classes=num_classes),
    # Crops that pass the backbone at a time; scores do not depend on it.
    test_cfg=dict(max_testing_views=10))

# num_clips tells clips from crops, frame_inds whether a video gave N different
# clips.
pack = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('img_shape', 'img_key', 'video_id', 'timestamp',
                   'num_clips', 'clip_len', 'frame_inds'))
]
clip = dict(type='SampleFrames', clip_len=8, frame_interval=frame_interval)
train_pipeline = [
    dict(type='VideoInit'),
    dict(num_clips=num_clips, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5), *pack
]
val_pipeline = [
    dict(type='VideoInit'),
    dict(num_clips=10, test_mode=True, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224), *pack
]
# 10 clips x 3 crops. The centre crops write the memory that all 30 read.
test_pipeline = [
    *val_pipeline[:4],
    dict(type='ThreeCrop', crop_size=256), *pack
]

dataset = dict(
    type='VideoClipsDataset',
    num_classes=num_classes,
    data_prefix=dict(video=video_folder),
    index_file=index_file)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file=ann_file_train,
        short_video='skip',
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file=ann_file_val,
        pipeline=val_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file=ann_file_val,
        pipeline=test_pipeline,
        test_mode=True,
        **dataset))
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator

train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs=max_epochs,
    val_begin=1,
    val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# A guess, for 2 videos in a batch; --auto-scale-lr fits it to another number.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.003, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=40, norm_type=2))
auto_scale_lr = dict(enable=False, base_batch_size=2)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True)
]

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3, save_best='acc/top1', rule='greater'))
custom_hooks = [dict(type='StepSeedHook')]
