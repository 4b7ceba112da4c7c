# Stage 2 on Something-Something V1. Told by the paper: 11 epochs, 0.03 for 16
# videos a node, a tenth of it from epochs 7 and 9 on. Guesses, after
# PySlowFast's recipe, which it follows: weight decay, warm-up.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=11, val_begin=1, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-6),
    clip_grad=dict(max_norm=40, norm_type=2))

param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=True,
        begin=0,
        end=11,
        milestones=[7, 9],
        gamma=0.1)
]

# (8 GPUs) x (2 videos per GPU), whatever N is
auto_scale_lr = dict(enable=False, base_batch_size=16)
# See schedule_collaborative_15e.py.
sync_bn = 'torch'
