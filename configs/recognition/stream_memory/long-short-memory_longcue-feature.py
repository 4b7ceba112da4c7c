# LongCue over the same features: queries look through the 8 clips before a
# work memory of 2.
_base_ = ['stream-transformer-m8_longcue-feature.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='LongShortMemory',
        in_channels=64,
        embed_dims=64,
        num_heads=4,
        dropout=0.1,
        work_len=2,
        long='window',
        long_len=8,
        num_queries=(8, 8),
        num_stage2_layers=1,
        seconds=1.))

max_epochs = 15
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
