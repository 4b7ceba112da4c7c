# R(2+1)D-101 32x2 with collaborative memory: 80.5 in the paper, whose backbone
# is that of CorrNet's authors; this is MMAction2's R(2+1)D at depth 101.
_base_ = ['r2plus1d_r34-memory_k400-pre_8xb1-32x2x1-n8-15e_kinetics400-rgb.py']

model = dict(
    backbone=dict(depth=101),
    neck=dict(in_channels=2048),
    cls_head=dict(in_channels=2048))

# There are no weights of it. Train stage 1 first (the paper: 250 epochs, rate
# 0.4 a node), and name them by --cfg-options load_from=stage1.pth
load_from = None
