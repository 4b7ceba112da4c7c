# Memory over frozen features: LongCue by the features of
# resnet3d-r18_longcue-rgb.py, which has learnt nothing. Take them out by
#   python tools/extract_features.py \
#       configs/recognition/features/resnet3d-r18_longcue-rgb.py \
#       --videos data/longcue --out-dir data/longcue/features
_base_ = ['../memvit/memvit-tiny-m8_longcue-rgb.py']

model = dict(
    backbone=dict(_delete_=True, type='FeatureBackbone'),
    data_preprocessor=dict(mean=None, std=None),
    neck=dict(
        type='StreamTransformer',
        in_channels=128,
        embed_dims=128,
        num_layers=2,
        num_heads=4,
        dropout=0.,
        mem_len=8),
    cls_head=dict(
        _delete_=True,
        type='I3DHead',
        in_channels=128,
        num_classes=4,
        dropout_ratio=0.,
        topk=(1, ),
        average_clips='prob'))

pipeline = [
    dict(type='LoadFeatureClip'),
    dict(
        type='PackActionInputs',
        meta_keys=('video_id', 'timestamp', 'segment_id', 'start_seconds'))
]
data = dict(
    data_prefix=dict(_delete_=True, feature='data/longcue/features'),
    index_file=None,
    pipeline=pipeline)
# Whole videos are one graph.
train_dataloader = dict(
    batch_size=16, batch_sampler=dict(unroll=48), dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)

max_epochs = 30
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=max_epochs))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        T_max=max_epochs,
        convert_to_iter_based=True)
]
