# LongCue over features of a frozen ResNet3d: a transformer that remembers 8
# clips. Trained on whole videos in one pass, tested clip by clip. The features
# are those of resnet3d-tiny_longcue-rgb.py by tools/extract_features.py
# (--out-dir data/longcue/features), of both lists of videos; `make
# demo-features` does it all.
_base_ = [
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

num_classes = 4
model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(type='FeatureBackbone'),
    neck=dict(
        type='StreamTransformer',
        in_channels=64,
        embed_dims=64,
        num_heads=4,
        mem_len=8,
        per_frame=True),
    cls_head=dict(
        type='FrameLevelHead',
        in_channels=64,
        num_classes=num_classes,
        dropout_ratio=0.,
        topk=(1, )),
    data_preprocessor=dict(type='ActionDataPreprocessor'))

data_root = 'data/longcue/'
dataset = dict(
    data_prefix=dict(feature=data_root + 'features'),
    ann_format='segments',
    num_classes=num_classes,
    pipeline=[
        dict(type='LoadFeatureClip', cache_size=64),
        dict(
            type='PackActionInputs',
            meta_keys=('video_id', 'timestamp', 'segment_id',
                       'start_seconds'))
    ])
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        type='FeatureStreamDataset',
        ann_file=data_root + 'train_segments.txt',
        # A whole video.
        clip_len=48,
        **dataset))
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        type='OnlineVideoDataset',
        ann_file=data_root + 'val_segments.txt',
        index_file=data_root + 'longcue_index.json',
        # Those of the videos that the features are of.
        clip_len=4,
        frame_interval=1,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='VideoAccMetric',
    metric_list=('top_k_accuracy', ),
    metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
test_evaluator = val_evaluator

max_epochs = 30
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
default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(
        interval=max_epochs, save_best=None, max_keep_ckpts=1))
