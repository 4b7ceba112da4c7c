# MeMViT-24 32x3 on AVA v2.2 (published: 32.3 mAP from K600, 34.4 from K700).
# The released recipe trains batches of 128 to 256 clips for 40 epochs with 6
# of warm-up, and clips gradients at 5. Its learning rate here is scaled from
# that of MeMViT-16 (0.075 for 16 clips): a guess.
_base_ = [
    '../../_base_/models/memvit_base_ava.py',
    '../../_base_/datasets/ava22_online.py',
    '../../_base_/schedule_ava_30e.py', '../../_base_/default_runtime.py'
]

clip = dict(clip_len=32, frame_interval=3)
train_pipeline = _base_.train_pipeline
train_pipeline[0].update(clip)
val_pipeline = _base_.val_pipeline
val_pipeline[0].update(clip)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

base_lr = 0.6
end_lr = 1e-6
train_cfg = dict(max_epochs=40)
optim_wrapper = dict(
    optimizer=dict(lr=base_lr), clip_grad=dict(max_norm=5, norm_type=2))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=end_lr / base_lr,
        by_epoch=True,
        begin=0,
        end=6,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=34,
        eta_min=end_lr,
        by_epoch=True,
        begin=6,
        end=40,
        convert_to_iter_based=True)
]
default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))
auto_scale_lr = dict(base_batch_size=128)

# Converted K600 or K700 weights (the heads of all differ, and are left out).
load_from = 'checkpoints/memvit_base_k600.pth'
