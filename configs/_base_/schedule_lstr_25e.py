# LSTR's (https://arxiv.org/abs/2107.03377), of its repository: Adam, 10 of 25
# epochs warm-up from 0.3, then cosine.
max_epochs = 25
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=7e-5, weight_decay=5e-5))
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
        T_max=15,
        eta_min=0.,
        by_epoch=True,
        begin=10,
        end=25,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
