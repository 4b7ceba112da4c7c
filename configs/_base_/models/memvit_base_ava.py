# MeMViT-24 for AVA: 32 frames a clip, M=2 at a gap of 3.
_base_ = ['memvit_small_ava.py']

model = dict(
    backbone=dict(arch='base', temporal_size=32, mem_stride=3),
    roi_head=dict(mem_stride=3))
