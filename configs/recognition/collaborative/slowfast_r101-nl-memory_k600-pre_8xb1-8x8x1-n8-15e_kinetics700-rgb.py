# SlowFast-101+NL 8x8 with collaborative memory: 72.4 in the paper, without
# 70.2.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r101_nl_8x8.py',
    '../../_base_/datasets/kinetics700_clips.py',
    '../../_base_/schedule_collaborative_15e.py',
    '../../_base_/default_runtime.py'
]

model = dict(cls_head=dict(num_classes=700))

# MMAction2 has no SlowFast weights of Kinetics-600 or 700. Train stage 1 first
# (the paper: from K600, 240 epochs), and name them by
#   --cfg-options load_from=stage1.pth
load_from = None
