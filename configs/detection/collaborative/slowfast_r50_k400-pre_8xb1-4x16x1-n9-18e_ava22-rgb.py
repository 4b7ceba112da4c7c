# Windows of 9 clips without a memory: what joint training does alone.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r50_4x16_ava.py',
    '../../_base_/datasets/ava22_collaborative.py',
    '../../_base_/schedule_collaborative_ava_18e.py',
    '../../_base_/default_runtime.py'
]

model = dict(neck=None)

default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth')
