# SlowFast-101 16x8 with non-local blocks and collaborative memory: 44.6 mAP
# in the paper, without memory 41.3.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r101_nl_8x8.py',
    '../../_base_/datasets/charades_clips.py',
    '../../_base_/schedule_collaborative_charades_24e.py',
    '../../_base_/default_runtime.py'
]

# MMAction2 has weights of SlowFast-101 without non-local blocks, so that a
# part of the model is loaded only, which load_from takes for a mistake. The
# blocks start as identities.
model = dict(
    mode='multi_iteration',
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
