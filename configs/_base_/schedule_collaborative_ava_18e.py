# AVA, with memory and without. Told by the paper: 18 epochs, 0.0018 for 8
# windows a node, a tenth of it from epochs 11 and 15 on. Guesses:
# - an epoch shows every keyframe about once (window_step of the data set), so
#   that 18 epochs mean for N = 9 what they mean for one clip;
# - the loss is summed over classes (focal_alpha of the box head). The paper
#   follows AIA, which does so; with a mean, rates of SlowFast on AVA are some
#   60 times as high as 0.0018;
# - momentum, and SlowFast's weight decay on AVA. No warm-up is told of.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=18, val_begin=3, val_interval=3)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.0018, momentum=0.9, weight_decay=1e-7))

param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=True,
        begin=0,
        end=18,
        milestones=[11, 15],
        gamma=0.1)
]

# (8 GPUs) x (1 window per GPU); for windows of one clip, 9 of them per GPU.
auto_scale_lr = dict(enable=False, base_batch_size=8)
# Normalisation needs clips of several videos: see
# schedule_collaborative_15e.py.
sync_bn = 'torch'
