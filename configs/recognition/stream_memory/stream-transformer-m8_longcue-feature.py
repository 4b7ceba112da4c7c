# LongCue over features of a frozen ResNet3d: a transformer that remembers 8
# clips. Trained on whole videos in one pass, tested clip by clip. The features
# are those of resnet3d-tiny_longcue-rgb.py by tools/extract_features.py
# (--out-dir data/longcue/features), of both lists of videos; `make
# demo-features` does it all.
_base_ = ['resnet3d-tiny_longcue-rgb.py']

model = dict(
    _delete_=True,
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
        num_classes=_base_.num_classes,
        dropout_ratio=0.,
        topk=(1, )),
    data_preprocessor=dict(type='ActionDataPreprocessor'))

data = dict(
    data_prefix=dict(feature=_base_.data_root + 'features'),
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
    persistent_workers=False,
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        _delete_=True,
        type='FeatureStreamDataset',
        ann_file=_base_.data_root + 'train_segments.txt',
        ann_format='segments',
        num_classes=_base_.num_classes,
        # A whole video.
        clip_len=48,
        **data))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_prefix=dict(_delete_=True, **data['data_prefix']),
        pipeline=data['pipeline']))
test_dataloader = val_dataloader

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
    logger=dict(interval=100), checkpoint=dict(interval=max_epochs))
