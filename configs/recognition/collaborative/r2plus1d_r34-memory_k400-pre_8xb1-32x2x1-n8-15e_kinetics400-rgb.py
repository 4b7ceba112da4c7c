# R(2+1)D-34 32x2, of which MMAction2 has weights, with collaborative memory.
_base_ = [
    'mmaction::_base_/models/r2plus1d_r34.py',
    '../../_base_/datasets/kinetics400_clips.py',
    '../../_base_/schedule_collaborative_15e.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    type='CollaborativeRecognizer3D',
    neck=dict(type='CollaborativeMemory', in_channels=512),
    test_cfg=dict(max_testing_views=10))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'r2plus1d/r2plus1d_r34_8xb8-32x2x1-180e_kinetics400-rgb/'
    'r2plus1d_r34_8xb8-32x2x1-180e_kinetics400-rgb_20220812-4270588c.pth')
