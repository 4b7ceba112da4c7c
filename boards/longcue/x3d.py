_base_ = ['windows.py', 'mmaction::_base_/models/x3d.py']

model = dict(
    backbone=dict(gamma_b=1., gamma_d=1.),
    cls_head=dict(in_channels=192, **_base_.head))
