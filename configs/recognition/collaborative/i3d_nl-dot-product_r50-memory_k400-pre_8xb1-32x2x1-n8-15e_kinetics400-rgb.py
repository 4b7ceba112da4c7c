# I3D-50 32x2 with non-local blocks and collaborative memory.
_base_ = [
    'mmaction::_base_/models/i3d_r50.py',
    '../../_base_/datasets/kinetics400_clips.py',
    '../../_base_/schedule_collaborative_15e.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    type='CollaborativeRecognizer3D',
    backbone=dict(
        type='NonLocalResNet3d',
        pretrained=None,
        non_local=((0, 0, 0), (0, 1, 0, 1), (0, 1, 0, 1, 0, 1), (0, 0, 0)),
        non_local_cfg=dict(
            sub_sample=True,
            use_scale=False,
            norm_cfg=dict(type='BN3d', requires_grad=True),
            mode='dot_product')),
    neck=dict(type='CollaborativeMemory', in_channels=2048),
    test_cfg=dict(max_testing_views=10))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'i3d/i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_'
    'kinetics400-rgb/'
    'i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_'
    'kinetics400-rgb_20220812-8e1f2148.pth')
