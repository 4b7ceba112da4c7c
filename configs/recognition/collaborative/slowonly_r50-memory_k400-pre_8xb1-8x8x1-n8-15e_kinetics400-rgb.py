# SlowOnly-50 8x8 with collaborative memory: 76.8 in the paper (34.6 to 49.2 M
# parameters by reduction), single clips 74.5.
_base_ = [
    'mmaction::_base_/models/slowonly_r50.py',
    '../../_base_/datasets/kinetics400_clips.py',
    '../../_base_/schedule_collaborative_15e.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    type='CollaborativeRecognizer3D',
    backbone=dict(pretrained=None),
    neck=dict(type='CollaborativeMemory', in_channels=2048),
    # Crops that pass the backbone at a time; scores do not depend on it.
    test_cfg=dict(max_testing_views=10))

train_pipeline, val_pipeline, test_pipeline = (
    [x[0], dict(x[1], clip_len=8, frame_interval=8), *x[2:]]
    for x in (_base_.train_pipeline, _base_.val_pipeline,
              _base_.test_pipeline))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb/'
    'slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb_20220901-2132fc87.pth')
