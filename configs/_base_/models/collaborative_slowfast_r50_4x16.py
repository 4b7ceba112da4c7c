# SlowFast-50 4x16 with a memory on each pathway.
_base_ = ['collaborative_slowfast_r50_8x8.py']

model = dict(
    backbone=dict(
        resample_rate=8, speed_ratio=8, slow_pathway=dict(fusion_kernel=5)))
