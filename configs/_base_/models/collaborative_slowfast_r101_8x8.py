# SlowFast-101 8x8 with a memory on each pathway.
_base_ = ['collaborative_slowfast_r50_8x8.py']

model = dict(
    backbone=dict(slow_pathway=dict(depth=101), fast_pathway=dict(depth=101)))
