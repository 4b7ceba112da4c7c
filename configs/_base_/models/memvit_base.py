# MeMViT-24: 32 frames a clip, memory of the two last clips.
_base_ = ['memvit_small.py']

model = dict(
    backbone=dict(arch='base', temporal_size=32, drop_path_rate=0.3))
