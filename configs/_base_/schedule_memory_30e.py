# Adding memory to a pre-trained model. Ours: no schedule of MeMViT on
# Kinetics is published; optimizer and regularisation are those of MViTv2 at a
# fine-tuning rate.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=30, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

base_lr = 1e-4
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW', lr=base_lr, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1, norm_type=2))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=28,
        eta_min=base_lr / 100,
        by_epoch=True,
        begin=2,
        end=30,
        convert_to_iter_based=True)
]

# (8 GPUs) x (8 lanes per GPU)
auto_scale_lr = dict(enable=False, base_batch_size=64)
