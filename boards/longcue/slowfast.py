_base_ = ['windows.py', 'mmaction::_base_/models/slowfast_r50.py']

# 9 frames on the fast pathway, every third of them on the slow one.
model = dict(
    backbone=dict(
        resample_rate=3,
        speed_ratio=3,
        slow_pathway=dict(depth=18, base_channels=16, fusion_kernel=5),
        fast_pathway=dict(depth=18, base_channels=2)),
    cls_head=dict(in_channels=144, **_base_.head))
