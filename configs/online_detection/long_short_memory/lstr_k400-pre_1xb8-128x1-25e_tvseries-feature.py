# LSTR (published: 89.1 mcAP).
_base_ = [
    '../../_base_/models/long_short_memory.py',
    '../../_base_/datasets/tvseries_features.py',
    '../../_base_/schedule_lstr_25e.py', '../../_base_/default_runtime.py'
]

model = dict(cls_head=dict(num_classes=31))
train_dataloader = dict(batch_size=8, dataset=dict(clip_len=128))
default_hooks = dict(
    checkpoint=dict(interval=5, save_best='auto', rule='greater'))
auto_scale_lr = dict(base_batch_size=8)
