_base_ = [
    '../../_base_/models/framewise_linear.py',
    '../../_base_/datasets/tvseries_features.py',
    '../../_base_/schedule_lstr_25e.py', '../../_base_/default_runtime.py'
]

model = dict(cls_head=dict(num_classes=31))
# Ours: a single layer takes larger steps than LSTR.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
default_hooks = dict(
    checkpoint=dict(interval=5, save_best='auto', rule='greater'))
