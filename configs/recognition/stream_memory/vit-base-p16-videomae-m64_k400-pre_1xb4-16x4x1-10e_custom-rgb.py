# VideoMAE on your own videos, with a memory of the last 64 clips, on one GPU.
# Complete: copy this file to anywhere, change what is between the lines, and
# train. docs/own_videos.md tells what the files hold,
# docs/any_backbone_remembers.md how to take another backbone.
_base_ = ['mmaction::_base_/default_runtime.py']
custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)

# ---------------------------------------------------------------------------
num_classes = 10
data_root = 'data/custom'
# Lines `path start end label`, seconds; 'video' for lines `path label`.
ann_format = 'segments'
ann_file_train = f'{data_root}/train.txt'
ann_file_val = f'{data_root}/val.txt'
video_folder = f'{data_root}/videos'
index_file = f'{data_root}/index.json'
# MMAction2's ViT-B of VideoMAE, trained on Kinetics-400, is fetched once.
# Without a network put the file somewhere and name its path here.
pretrained = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/videomae/'
    'vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400_20221013-860a3cd3.pth')
# Videos side by side.
batch_size = 4
num_workers = 4
max_epochs = 10
# ---------------------------------------------------------------------------

model = dict(
    type='OnlineRecognizer3D',
    # A window takes little more memory than a clip.
    with_cp=True,
    backbone=dict(
        type='VisionTransformer',
        img_size=224,
        patch_size=16,
        embed_dims=768,
        depth=12,
        num_heads=12,
        mlp_ratio=4,
        qkv_bias=True,
        num_frames=16,
        norm_cfg=dict(type='LN', eps=1e-6),
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained', checkpoint=pretrained, prefix='backbone.')),
    neck=dict(
        type='StreamTransformer',
        in_channels=768,
        embed_dims=512,
        num_layers=2,
        mem_len=64,
        # Clips of 16 frames, 4 apart, at 30 a second.
        seconds=64 / 30),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW'),
    cls_head=dict(
        type='I3DHead',
        in_channels=512,
        num_classes=num_classes,
        label_smooth_eps=0.1,
        average_clips='prob'))

# video_id and timestamp are what the memory finds its streams by.
pack = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('img_shape', 'video_id', 'timestamp', 'segment_id',
                   'start_seconds'))
]
train_pipeline = [
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    # One draw for all clips of a video: memory compares them.
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomResizedCrop'),
            dict(type='Resize', scale=(224, 224), keep_ratio=False),
            dict(type='Flip', flip_ratio=0.5)
        ]),
    *pack
]
val_pipeline = [
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224), *pack
]

dataset = dict(
    type='OnlineVideoDataset',
    ann_format=ann_format,
    num_classes=num_classes,
    data_prefix=dict(video=video_folder),
    index_file=index_file,
    clip_len=16,
    frame_interval=4,
    short_video='pad')
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # 4 clips a step, whose gradients go through memory.
    batch_sampler=dict(type='StreamBatchSampler', unroll=4),
    dataset=dict(
        ann_file=ann_file_train, pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_val,
        pipeline=val_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='VideoAccMetric')
test_evaluator = val_evaluator

train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs=max_epochs,
    val_begin=1,
    val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The rate is a guess, for 4 videos side by side; --auto-scale-lr fits it to
# another number.
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW', lr=2.5e-5, betas=(0.9, 0.999), weight_decay=0.05),
    # What is new learns faster than what is trained.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(neck=dict(lr_mult=10.), cls_head=dict(lr_mult=10.))),
    clip_grad=dict(max_norm=1, norm_type=2))
auto_scale_lr = dict(enable=False, base_batch_size=4)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
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
# StepSeedHook makes a resumed run go on exactly as one that was not stopped.
custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]
