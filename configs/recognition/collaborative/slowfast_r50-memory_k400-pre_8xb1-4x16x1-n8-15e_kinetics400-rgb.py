# SlowFast-50 4x16 with collaborative memory.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r50_4x16.py',
    '../../_base_/datasets/kinetics400_clips.py',
    '../../_base_/schedule_collaborative_15e.py',
    '../../_base_/default_runtime.py'
]

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth')
