# memvit-tiny-m2_longcue-rgb.py trained through its memory, 12 clips at a time:
# 5 layers that attend to 2 clips each reach 10 clips back, see
# docs/unrolled_training.md.
_base_ = ['memvit-tiny-m2_longcue-rgb.py']

train_dataloader = dict(batch_sampler=dict(unroll=12))

max_epochs = 16
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
# It learns delay after delay, layer by layer: no early decay.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        begin=11,
        end=max_epochs,
        T_max=max_epochs - 11,
        convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=max_epochs))
