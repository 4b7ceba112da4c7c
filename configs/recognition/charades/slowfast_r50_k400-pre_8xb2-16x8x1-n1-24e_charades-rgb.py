# SlowFast-50 16x8, single clips: the baseline, 39.4 mAP in the paper.
_base_ = ['slowfast_r50-memory_k400-pre_8xb2-16x8x1-n4-24e_charades-rgb.py']

model = dict(mode='batch', neck=None)
init, sample, *rest = _base_.train_pipeline
train_pipeline = [init, dict(sample, num_clips=1), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
