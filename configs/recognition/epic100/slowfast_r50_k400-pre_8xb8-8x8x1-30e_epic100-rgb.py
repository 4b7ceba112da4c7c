# A stock MMAction2 config on EPIC-KITCHENS-100, in at most 30 changed lines:
# the head, the loading of videos, the data set, the metric, and a shorter
# schedule (a guess). Other models change likewise.
_base_ = ('mmaction::recognition/slowfast/'
          'slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb.py')
custom_imports = dict(imports=['mmaction_memvit'])
model = dict(
    cls_head=dict(
        _delete_=True, type='MultiTaskHead',
        num_classes=dict(verb=97, noun=300),
        head=dict(type='SlowFastHead', in_channels=2304, dropout_ratio=0.5,
                  average_clips='prob')))

# LoadVideoClip in place of DecordInit and DecordDecode.
pack = dict(type='PackActionInputs', meta_keys=('narration_id', 'timestamp'))
train, val, test = ([x[1], dict(type='LoadVideoClip'), *x[3:-1], pack]
                    for x in (_base_.train_pipeline, _base_.val_pipeline,
                              _base_.test_pipeline))
val_file = 'data/epic100/annotations/EPIC_100_validation.csv'
train_file = 'data/epic100/annotations/EPIC_100_train.csv'
data = dict(type='EpicDataset', index_file='data/epic100/index_videos.json',
            data_prefix=dict(video='data/epic100/videos'))
train_dataloader = dict(
    dataset=dict(ann_file=train_file, pipeline=train, **data))
data.update(ann_file=val_file)
# Every segment is scored once, whatever the number of processes.
once = dict(round_up=False)
val_dataloader = dict(sampler=once, dataset=dict(pipeline=val, **data))
test_dataloader = dict(sampler=once, dataset=dict(pipeline=test, **data))
val_evaluator = dict(type='EpicRecognitionMetric', ann_file=val_file)
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=30)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=30)]
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=64)
# MMAction2's weights of the stock config.
load_from = 'checkpoints/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb.pth'
