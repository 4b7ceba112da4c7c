# Your own data in AVA form on one GPU: copy this file, change what is between
# the lines. docs/own_data_ava.md goes from videos and boxes to mAP.
_base_ = [
    '../../_base_/models/memvit_small_ava.py',
    '../../_base_/datasets/ava22_online.py',
    '../../_base_/schedule_ava_30e.py', '../../_base_/default_runtime.py'
]

# ---------------------------------------------------------------------------
# Number of actions plus 1: class 0 is reserved.
num_classes = 11
anno_root = 'data/custom'
data = dict(
    data_prefix=dict(video='data/custom/videos'),
    index_file='data/custom/index.json',
    # The timestamp of a video's first frame, and how many timestamps go into
    # a second.
    timestamp_start=0,
    timestamp_end=None,
    keyframe_rate=1)
load_from = 'checkpoints/memvit_small_k400.pth'
# ---------------------------------------------------------------------------

label_file = f'{anno_root}/label_map.pbtxt'
ann_file_train = f'{anno_root}/train.csv'
ann_file_val = f'{anno_root}/val.csv'
data.update(label_file=label_file, num_classes=num_classes)

model = dict(roi_head=dict(bbox_head=dict(num_classes=num_classes)))

# All clips of a video see the same crop, flip and colours.
train_pipeline = [
    dict(
        type='SampleKeyframeClip', clip_len=16, frame_interval=4,
        perturb=True),
    dict(type='LoadVideoClip'),
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomRescale', scale_range=(256, 320)),
            dict(type='RandomCrop', size=224),
            dict(type='Flip', flip_ratio=0.5),
        ]),
    dict(type='DropLostBoxes'),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=_base_.meta_keys)
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        ann_file=ann_file_train,
        exclude_file=None,
        proposal_file=f'{anno_root}/proposals_train.pkl',
        # Seconds where nobody is labelled too: the memory sees them, and
        # people there show none of the actions.
        keyframes='proposals',
        pipeline=train_pipeline,
        **data))
val_dataloader = dict(
    dataset=dict(
        ann_file=ann_file_val,
        exclude_file=None,
        proposal_file=f'{anno_root}/proposals_val.pkl',
        **data))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=ann_file_val,
    label_file=label_file,
    exclude_file=None,
    num_classes=num_classes)
test_evaluator = val_evaluator

# The rate is for 16 lanes; --auto-scale-lr fits it to yours.
train_cfg = dict(max_epochs=10)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=9,
        eta_min=1e-6,
        by_epoch=True,
        begin=1,
        end=10,
        convert_to_iter_based=True)
]
default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))
