# X-ViT on Kinetics, as the authors' released settings tell: 0.03 for 64 clips,
# 5 epochs of warm-up from 0.01, cosine.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=30, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-5))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1 / 3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=25,
        eta_min=0.,
        by_epoch=True,
        begin=5,
        end=30,
        convert_to_iter_based=True)
]

# (8 GPUs) x (8 clips per GPU)
auto_scale_lr = dict(enable=False, base_batch_size=64)
