_base_ = ['windows.py', 'mmaction::_base_/models/slowonly_r50.py']

model = dict(
    backbone=dict(depth=18, base_channels=16, pretrained=None),
    cls_head=dict(in_channels=128, **_base_.head))
