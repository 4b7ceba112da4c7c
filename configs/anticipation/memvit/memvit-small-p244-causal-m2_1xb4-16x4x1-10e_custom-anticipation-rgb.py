# Anticipation on your own videos, on one GPU: what goes on a second from now.
# Complete: copy this file to anywhere, change what is between the lines, and
# train. docs/own_videos.md tells what the files hold.
_base_ = ['mmaction::_base_/default_runtime.py']
custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)

# ---------------------------------------------------------------------------
num_classes = 10
tau_a = 1.  # seconds ahead
data_root = 'data/custom'
# CSV files in the form of EPIC-KITCHENS-100, whose verbs are your classes.
ann_file_train = f'{data_root}/train_segments.csv'
ann_file_val = f'{data_root}/val_segments.csv'
video_folder = f'{data_root}/videos'
index_file = f'{data_root}/index.json'
# MMAction2's MViT-small, trained on Kinetics-400, is fetched once. Without a
# network put the file somewhere and name its path here.
pretrained = ('https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/'
              'converted/mvit-small-p244_16x4x1_kinetics400-rgb_20221021-'
              '9ebaaeed.pth')
# Videos side by side; each keeps 0.9 GB of activations in training.
batch_size = 4
num_workers = 4
max_epochs = 10
# ---------------------------------------------------------------------------

model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(
        type='MeMViT',
        arch='small',
        temporal_size=16,
        mem_len=2,
        drop_path_rate=0.2,
        # A token sees no later frame.
        causal=True,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained)),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW'),
    cls_head=dict(
        type='MultiTaskHead',
        num_classes=dict(verb=num_classes),
        head=dict(
            type='FrameLevelHead',
            in_channels=768,
            dropout_ratio=0.5,
            average_clips='prob')))

# video_id and timestamp are what the memory finds its streams by, token_times
# what the metric finds segments by.
pack = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('img_shape', 'video_id', 'timestamp', 'token_times',
                   'fps'))
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
    type='OnlineEpicDataset',
    task='anticipation',
    tau_a=tau_a,
    num_verbs=num_classes,
    num_nouns=1,
    data_prefix=dict(video=video_folder),
    index_file=index_file,
    clip_len=16,
    frame_interval=4)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
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
val_evaluator = dict(
    type='EpicAnticipationMetric',
    ann_file=ann_file_val,
    tau_a=tau_a,
    num_verbs=num_classes,
    num_nouns=1,
    online=True)
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
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
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
    checkpoint=dict(
        max_keep_ckpts=3, save_best='epic/verb_recall5', rule='greater'))
# StepSeedHook makes a resumed run go on exactly as one that was not stopped.
custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]
