# LSTR (published: 69.5 mAP). Streams go on from step to step rather than being
# drawn anew; of a step's 32 s the gradient reaches back to the long memory.
_base_ = [
    '../../_base_/models/long_short_memory.py',
    '../../_base_/datasets/thumos14_features.py',
    '../../_base_/schedule_lstr_25e.py', '../../_base_/default_runtime.py'
]

train_dataloader = dict(batch_size=8, dataset=dict(clip_len=128))
default_hooks = dict(checkpoint=dict(interval=5, save_best='auto'))
auto_scale_lr = dict(base_batch_size=8)
