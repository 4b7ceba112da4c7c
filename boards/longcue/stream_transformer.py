# The ResNet3d as it is, frozen, and a transformer that remembers its last 8
# clips: trained on windows of 16 clips, without files of features. The board
# starts it from the ResNet3d that learnt single clips.
_base_ = '../../configs/recognition/stream_memory/resnet3d-tiny_longcue-rgb.py'

model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(frozen_stages=4, norm_eval=True),
    neck=dict(
        type='StreamTransformer',
        in_channels=64,
        embed_dims=64,
        num_heads=4,
        mem_len=8))

meta_keys = (*_base_.meta_keys, 'start_seconds')
pipeline = [
    *_base_.pipeline[:2], dict(type='PackActionInputs', meta_keys=meta_keys)
]
train_dataloader = dict(
    batch_sampler=dict(type='StreamBatchSampler', unroll=16),
    dataset=dict(
        type='OnlineVideoDataset',
        clip_len=_base_.clip_len,
        frame_interval=1,
        pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = val_dataloader

max_epochs = 12
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
default_hooks = dict(checkpoint=dict(interval=max_epochs))
