# SlowFast-50 4x16 with collaborative memory on AVA v2.2. The paper's mAP for
# N = 1, 3, 5, 7, 9: 26.9, 27.4, 28.3, 29.3, 29.8; for another N set num_clips
# of the data sets of all three data loaders.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r50_4x16_ava.py',
    '../../_base_/datasets/ava22_collaborative.py',
    '../../_base_/schedule_collaborative_ava_18e.py',
    '../../_base_/default_runtime.py'
]

default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth')
