# Memory over a frozen backbone: 75.9 in the paper.
_base_ = ['slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py']

model = dict(freeze_backbone=True)
