# The released recipe for AVA: SGD, cosine after five epochs of warm-up.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=30, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

base_lr = 0.075
end_lr = 1e-6
optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=base_lr, momentum=0.9, nesterov=True,
        weight_decay=1e-8),
    # No decay on one-dimensional parameters.
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=end_lr / base_lr,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=25,
        eta_min=end_lr,
        by_epoch=True,
        begin=5,
        end=30,
        convert_to_iter_based=True)
]

# (8 GPUs) x (2 lanes per GPU)
auto_scale_lr = dict(enable=False, base_batch_size=16)
