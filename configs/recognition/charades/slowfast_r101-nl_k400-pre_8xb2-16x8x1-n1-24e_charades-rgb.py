# SlowFast-101 16x8 with non-local blocks, single clips: the baseline, 41.3
# mAP in the paper.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r101_nl_8x8.py',
    '../../_base_/datasets/charades_clips.py',
    '../../_base_/schedule_collaborative_charades_24e.py',
    '../../_base_/default_runtime.py'
]

# See the config with memory.
model = dict(
    neck=None,
    cls_head=dict(
        num_classes=157,
        multi_class=True,
        loss_cls=dict(type='BCELossWithLogits'),
        average_clips=None),
    init_cfg=dict(
        type='Pretrained',
        checkpoint=(
            'https://download.openmmlab.com/mmaction/v1.0/recognition/'
            'slowfast/slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb/'
            'slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb_20220901-9c0e09bd'
            '.pth')))
init, sample, *rest = _base_.train_pipeline
train_pipeline = [init, dict(sample, num_clips=1), *rest]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
