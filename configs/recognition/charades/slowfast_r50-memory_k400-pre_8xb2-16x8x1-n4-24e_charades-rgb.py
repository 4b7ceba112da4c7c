# SlowFast-50 16x8 with collaborative memory: 42.9 mAP in the paper, without
# 39.4. The model is that of 8x8, which sees clips of twice as many frames.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r50_8x8.py',
    '../../_base_/datasets/charades_clips.py',
    '../../_base_/schedule_collaborative_charades_24e.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    # The same losses and gradients as with all clips at once, in the memory
    # of one clip of each video.
    mode='multi_iteration',
    cls_head=dict(
        num_classes=157,
        multi_class=True,
        loss_cls=dict(type='BCELossWithLogits'),
        average_clips=None))

# All of it but the head is loaded.
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb_20220818-1cb6dfc8.pth')
