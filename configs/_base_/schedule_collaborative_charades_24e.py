# Charades, with memory and without. Told by the paper: 24 epochs, 0.1875 for
# 16 videos a node, a tenth of it from epochs 16 and 20 on, 2 epochs of linear
# warm-up. Guesses: momentum, weight decay, where the warm-up starts, and
# MMAction2's limit of gradients.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=24, val_begin=1, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1875, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=40, norm_type=2))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True),
    dict(
        type='MultiStepLR',
        by_epoch=True,
        begin=0,
        end=24,
        milestones=[16, 20],
        gamma=0.1)
]

# (8 GPUs) x (2 videos per GPU), whatever N is
auto_scale_lr = dict(enable=False, base_batch_size=16)
# Two clips a GPU are few for batch normalisation: see
# schedule_collaborative_15e.py.
sync_bn = 'torch'
