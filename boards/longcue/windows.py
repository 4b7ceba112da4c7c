# LongCue for models without memory: a question and the 8 s before it as one
# clip, a frame a second. `head` is what all models have in common.
_base_ = [
    '../../configs/_base_/schedule_demo_3e.py',
    '../../configs/_base_/default_runtime.py'
]

num_classes = 4
head = dict(num_classes=num_classes, dropout_ratio=0., topk=(1, ))

data_root = 'data/longcue/'
sample = dict(type='UniformSample', clip_len=9)
load = dict(type='LoadVideoClip', cache_size=0)
shape = dict(type='FormatShape', input_format='NCTHW')
pack = dict(
    type='PackActionInputs', meta_keys=('img_shape', 'video_id', 'timestamp'))
dataset = dict(
    type='VideoClipsDataset',
    ann_format='segments',
    before_seconds=8.,
    data_prefix=dict(video=data_root),
    index_file=data_root + 'longcue_index.json',
    num_classes=num_classes)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file=data_root + 'train_questions.txt',
        pipeline=[sample, load, shape, pack],
        **dataset))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file=data_root + 'val_questions.txt',
        pipeline=[dict(sample, test_mode=True), load, shape, pack],
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='AccMetric',
    metric_list=('top_k_accuracy', ),
    metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
test_evaluator = val_evaluator

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.,
        by_epoch=True,
        T_max=max_epochs,
        convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max_epochs, save_best=None, max_keep_ckpts=1))
