# memvit-tiny-m2_longcue-rgb.py trained through its memory, 12 clips at a time:
# 5 layers that attend to 2 clips each reach 10 clips back, see
# docs/unrolled_training.md.
_base_ = ['memvit-tiny-m8_longcue-rgb.py']

# 5 layers of 4 x 4 places: few tokens, among which a sign is soon found.
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=64, num_layers=5, num_heads=1,
            downscale_indices=[]),
        patch_cfg=dict(
            kernel_size=(3, 15, 15), stride=(2, 8, 8), padding=(1, 7, 7)),
        adaptive_kv_stride=(1, 2, 2),
        mem_len=2),
    cls_head=dict(in_channels=64))

train_dataloader = dict(batch_size=16, batch_sampler=dict(unroll=12))
auto_scale_lr = dict(base_batch_size=16)

max_epochs = 14
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
# It learns delay after delay, layer by layer: no early decay.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        begin=9,
        end=max_epochs,
        T_max=max_epochs - 9,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=max_epochs))
