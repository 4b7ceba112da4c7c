# I3D-50 32x2 with non-local blocks and collaborative memory on AVA v2.1: 26.3
# mAP in the paper, with the backbone of LFB. This one is MMAction2's, of which
# there are weights.
_base_ = [
    '../../_base_/models/collaborative_ava_detector.py',
    '../../_base_/datasets/ava22_collaborative.py',
    '../../_base_/schedule_collaborative_ava_18e.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(
        type='mmaction.NonLocalResNet3d',
        pretrained=None,
        depth=50,
        conv1_kernel=(5, 7, 7),
        conv1_stride_t=2,
        pool1_stride_t=2,
        spatial_strides=(1, 2, 2, 1),
        inflate=((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)),
        zero_init_residual=False,
        non_local=((0, 0, 0), (0, 1, 0, 1), (0, 1, 0, 1, 0, 1), (0, 0, 0)),
        non_local_cfg=dict(
            sub_sample=True,
            use_scale=False,
            norm_cfg=dict(type='BN3d', requires_grad=True),
            mode='dot_product')),
    neck=dict(type='mmaction.CollaborativeMemory', in_channels=2048),
    roi_head=dict(bbox_head=dict(in_channels=2048)))

anno_root = 'data/ava/annotations'
label_file = f'{anno_root}/ava_action_list_v2.1_for_activitynet_2018.pbtxt'
train_files = dict(
    ann_file=f'{anno_root}/ava_train_v2.1.csv',
    exclude_file=f'{anno_root}/ava_train_excluded_timestamps_v2.1.csv',
    label_file=label_file)
val_files = dict(
    ann_file=f'{anno_root}/ava_val_v2.1.csv',
    exclude_file=f'{anno_root}/ava_val_excluded_timestamps_v2.1.csv',
    label_file=label_file)
train_dataloader = dict(dataset=train_files)
val_dataloader = dict(dataset=val_files)
test_dataloader = val_dataloader
val_evaluator = val_files
test_evaluator = val_files

default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'i3d/i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_'
    'kinetics400-rgb/'
    'i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_'
    'kinetics400-rgb_20220812-8e1f2148.pth')
