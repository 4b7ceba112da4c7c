# SlowFast-50 8x8 with a memory on each pathway.
_base_ = ['mmaction::_base_/models/slowfast_r50.py']

model = dict(
    type='CollaborativeRecognizer3D',
    backbone=dict(
        resample_rate=4,
        speed_ratio=4,
        channel_ratio=8,
        slow_pathway=dict(fusion_kernel=7)),
    neck=dict(type='CollaborativeMemory', in_channels=(2048, 256)),
    # Crops that pass the backbone at a time; scores do not depend on it.
    test_cfg=dict(max_testing_views=10))
