_base_ = ['frames.py', 'mmaction::_base_/models/tsm_mobilenet_v2.py']

model = dict(
    backbone=dict(
        widen_factor=0.25,
        pretrained=None,
        pretrained2d=False,
        num_segments=9),
    cls_head=dict(num_segments=9, **_base_.head))
