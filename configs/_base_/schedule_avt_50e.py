# AVT on EPIC-KITCHENS-100, as the authors' released settings tell: 1e-4 for
# each of 32 GPUs with 3 clips, 20 epochs of warm-up from 0, 30 of cosine.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=50, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=3.2e-3, momentum=0.9, nesterov=True,
        weight_decay=1e-6))

param_scheduler = [
    dict(
        type='LinearLR',
        # MMEngine takes nothing lower than above 0.
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=30,
        eta_min=0.,
        by_epoch=True,
        begin=20,
        end=50,
        convert_to_iter_based=True)
]

# (32 GPUs) x (3 clips per GPU)
auto_scale_lr = dict(enable=False, base_batch_size=96)
