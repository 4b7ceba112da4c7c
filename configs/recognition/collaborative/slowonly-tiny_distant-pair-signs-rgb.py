# The backbone's own training, before that with memory: names the sign of one
# clip, a thing or a number of steps, or tells that there is none.
_base_ = ['slowonly-tiny-memory_distant-pair-rgb.py']

load_from = None
data_root = _base_.data_root
# The loss of a video with one clip is that of the clip.
model = dict(
    backbone=dict(norm_eval=False),
    neck=None,
    cls_head=dict(num_classes=9),
    video_loss_weight=0.)

init, _, *rest = _base_.train_pipeline
sample = dict(type='SampleFrames', clip_len=4)
train_pipeline = [init, sample, *rest]
test_pipeline = [init, dict(test_mode=True, **sample), *rest]
train_dataloader = dict(
    dataset=dict(
        ann_file=data_root + 'train_signs.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        ann_file=data_root + 'val_signs.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=max_epochs)
]
default_hooks = dict(checkpoint=dict(interval=max_epochs))
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.))))
