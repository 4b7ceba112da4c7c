# SlowFast-101+NL 8x8 with collaborative memory: 53.7 in the paper, without
# 51.2.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r101_nl_8x8.py',
    '../../_base_/datasets/sthv1_clips.py',
    '../../_base_/schedule_collaborative_11e.py',
    '../../_base_/default_runtime.py'
]

# Of SlowFast-101 without non-local blocks, see the config of Kinetics-400.
model = dict(
    cls_head=dict(num_classes=174),
    init_cfg=dict(
        type='Pretrained',
        checkpoint=(
            'https://download.openmmlab.com/mmaction/v1.0/recognition/'
            'slowfast/slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb/'
            'slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb_20220901-9c0e09bd'
            '.pth')))
