# memvit-tiny-m2_longcue-rgb.py trained through its memory, 16 clips at a time:
# 5 layers that attend to 2 clips each reach 10 clips back, see
# docs/unrolled_training.md.
_base_ = ['memvit-tiny-m8_longcue-rgb.py']

# 5 layers of 2 x 2 places and no time, a clip's frames being alike: few
# tokens, among which a sign is soon found, and which memory keeps as they are.
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=64, num_layers=5, num_heads=1,
            downscale_indices=[]),
        patch_cfg=dict(
            kernel_size=(4, 23, 23), stride=(4, 16, 16), padding=(0, 11, 11)),
        pool_kernel=(1, 3, 3),
        adaptive_kv_stride=(1, 1, 1),
        mem_compress=None,
        mem_len=2),
    cls_head=dict(in_channels=64))

# Windows twice the longest delay, and lanes to match.
train_dataloader = dict(batch_size=24, batch_sampler=dict(unroll=16))

optim_wrapper = dict(
    optimizer=dict(lr=2e-3, betas=(0.9, 0.98), weight_decay=0.))
# It learns delay after delay, layer by layer: the rate decays when all are
# known. The mean of the last weights answers what single ones get wrong.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=30),
    dict(
        type='LinearLR',
        start_factor=1.,
        end_factor=0.1,
        begin=2,
        end=3,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=20))
custom_hooks = [
    dict(type='MemoryBankHook'),
    dict(type='StepSeedHook'),
    dict(type='EMAHook', momentum=0.02)
]
