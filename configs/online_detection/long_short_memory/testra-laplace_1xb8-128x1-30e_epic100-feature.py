# TeSTra's model for EPIC-KITCHENS-100 (5 s of work memory, Laplace kernel of
# 0.9, 8 heads, width 2048), detecting verb and noun as they are done; its
# anticipation also has queries for the future, equalised losses and mixup.
_base_ = [
    '../../_base_/models/long_short_memory.py',
    '../../_base_/datasets/epic100_features.py',
    '../../_base_/schedule_lstr_25e.py', '../../_base_/default_runtime.py'
]

model = dict(
    neck=dict(
        # RGB and flow, 1024 each.
        in_channels=2048,
        embed_dims=2048,
        num_heads=8,
        work_len=20,
        long='laplace',
        decay=0.9),
    cls_head=dict(
        _delete_=True,
        type='MultiTaskHead',
        num_classes=dict(verb=98, noun=301),
        head=dict(
            type='FrameLevelHead', in_channels=2048, dropout_ratio=0.8)))
train_dataloader = dict(batch_size=8, dataset=dict(clip_len=128))

max_epochs = 30
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=5e-5, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.3,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - 10,
        eta_min=0.,
        by_epoch=True,
        begin=10,
        end=max_epochs,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=5, save_best='auto'))
auto_scale_lr = dict(base_batch_size=8)
