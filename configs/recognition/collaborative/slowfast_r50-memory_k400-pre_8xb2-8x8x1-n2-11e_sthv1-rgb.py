# SlowFast-50 8x8 with collaborative memory: 52.3 in the paper, without 50.1.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r50_8x8.py',
    '../../_base_/datasets/sthv1_clips.py',
    '../../_base_/schedule_collaborative_11e.py',
    '../../_base_/default_runtime.py'
]

model = dict(cls_head=dict(num_classes=174))

# All of it but the head is loaded.
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb_20220818-1cb6dfc8.pth')
