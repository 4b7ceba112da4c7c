# The same without memory, so clip by clip in training, too.
_base_ = ['stream-transformer-m8_longcue-feature.py']

model = dict(neck=dict(mem_len=0))
train_dataloader = dict(batch_size=32, dataset=dict(clip_len=1))

max_epochs = 3
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
