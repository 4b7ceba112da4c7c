_base_ = ['frames.py', 'mmaction::_base_/models/tsn_r50.py']

model = dict(
    backbone=dict(
        depth=18,
        pretrained=None,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1, )),
    cls_head=dict(in_channels=128, **_base_.head))
