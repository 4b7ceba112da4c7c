# DistantPair, the demo: two distant clips tell the label together. Videos by
# examples/generate.py distant-pair; `make demo-collaborative` runs it all.
# As in the paper, the backbone is trained before, on single clips: see
# slowonly-tiny_distant-pair-signs-rgb.py, whose head is of other classes.
_base_ = [
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

num_classes = 4
num_clips = 8
load_from = 'work_dirs/slowonly-tiny_distant-pair-signs-rgb/epoch_8.pth'
model = dict(
    type='CollaborativeRecognizer3D',
    backbone=dict(
        type='ResNet3dSlowOnly',
        depth=18,
        pretrained=None,
        lateral=False,
        in_channels=3,
        base_channels=16,
        conv1_kernel=(1, 7, 7),
        conv1_stride_t=1,
        pool1_stride_t=1,
        inflate=(0, 0, 1, 1),
        # Which signs a batch holds varies too much for its own statistics.
        norm_eval=True),
    neck=dict(type='CollaborativeMemory', in_channels=128),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127., 127., 127.],
        std=[58., 58., 58.],
        format_shape='NCTHW'),
    cls_head=dict(
        type='I3DHead',
        in_channels=128,
        num_classes=num_classes,
        spatial_type='avg',
        dropout_ratio=0.,
        topk=(1, ),
        average_clips='prob'))

data_root = 'data/distant_pair/'
meta_keys = ('img_shape', 'video_id', 'timestamp', 'num_clips', 'clip_len')
# One clip of every slot, or nearly so.
train_pipeline = [
    dict(type='VideoInit'),
    dict(
        type='SampleFrames',
        clip_len=4,
        num_clips=num_clips,
        keep_tail_frames=True),
    dict(type='LoadVideoClip', cache_size=0),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
test_pipeline = [
    dict(type='VideoInit'),
    dict(
        type='SampleFrames', clip_len=4, num_clips=num_clips, test_mode=True),
    *train_pipeline[2:]
]
dataset = dict(
    type='VideoClipsDataset',
    data_prefix=dict(video=data_root),
    index_file=data_root + 'distant_pair_index.json')

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file=data_root + 'train.txt',
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file=data_root + 'val.txt',
        pipeline=test_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        T_max=max_epochs,
        convert_to_iter_based=True)
]
# What is new learns fast, what is known slowly.
optim_wrapper = dict(
    optimizer=dict(lr=1e-2),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.01))))
val_evaluator = dict(
    type='AccMetric',
    metric_list=('top_k_accuracy', ),
    metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
test_evaluator = val_evaluator
default_hooks = dict(
    logger=dict(interval=24),
    checkpoint=dict(interval=max_epochs, save_best=None, max_keep_ckpts=1))
