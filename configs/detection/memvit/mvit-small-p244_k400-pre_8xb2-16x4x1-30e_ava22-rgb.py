# The baseline: MMAction2's MViTv2-S on single clips, without memory and box
# block, on the same data and schedule (about 27 mAP in the paper).
_base_ = [
    '../../_base_/models/memvit_small_ava.py',
    '../../_base_/datasets/ava22_online.py',
    '../../_base_/schedule_ava_30e.py', '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaction.MViT',
        arch='small',
        drop_path_rate=0.4),
    roi_head=dict(box_block=None, mem_len=0))

default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/converted/'
    'mvit-small-p244_16x4x1_kinetics400-rgb_20221021-9ebaaeed.pth')
