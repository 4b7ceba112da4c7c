_base_ = [
    '../../_base_/models/framewise_linear.py',
    '../../_base_/datasets/epic100_features.py',
    '../../_base_/schedule_lstr_25e.py', '../../_base_/default_runtime.py'
]

model = dict(
    cls_head=dict(
        _delete_=True,
        type='MultiTaskHead',
        num_classes=dict(verb=98, noun=301),
        # RGB and flow, 1024 each, of networks trained on EPIC-KITCHENS.
        head=dict(
            type='FrameLevelHead', in_channels=2048, dropout_ratio=0.2)))
# Ours: a single layer takes larger steps than LSTR.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=5, save_best='auto'))
