# MeMViT-16 without memory on single clips: the pre-training. Data and
# schedule are those of MMAction2's MViTv2-S: no recipe of MeMViT's own
# pre-training is published.
_base_ = [
    'mmaction::recognition/mvit/'
    'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py'
]

custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)

model = dict(backbone=dict(type='MeMViT', mem_len=0))
