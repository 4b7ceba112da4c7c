# Action detection on your own videos and boxes, on one GPU. Complete: copy
# this file to anywhere, change what is between the lines, and train.
# docs/own_data_ava.md goes from a table of boxes to mAP.
_base_ = ['mmaction::_base_/default_runtime.py']
custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)

# ---------------------------------------------------------------------------
# Number of actions plus 1: class 0 is reserved.
num_classes = 11
data_root = 'data/custom'
label_file = f'{data_root}/label_map.pbtxt'
ann_file_train = f'{data_root}/train.csv'
ann_file_val = f'{data_root}/val.csv'
proposal_file_train = f'{data_root}/proposals_train.pkl'
proposal_file_val = f'{data_root}/proposals_val.pkl'
video_folder = f'{data_root}/videos'
index_file = f'{data_root}/index.json'
# Timestamps that go into a second, and that of a video's first frame (900 in
# AVA's 15-minute cuts).
keyframe_rate = 1
timestamp_start = 0
# MMAction2's MViT-small, trained on Kinetics-400, is fetched once. Without a
# network put the file somewhere and name its path here.
pretrained = ('https://download.openmmlab.com/mmaction/v1.0/recognition/mvit/'
              'converted/mvit-small-p244_16x4x1_kinetics400-rgb_20221021-'
              '9ebaaeed.pth')
# Videos side by side; each keeps 0.9 GB of activations in training.
batch_size = 4
num_workers = 4
max_epochs = 10
# ---------------------------------------------------------------------------

model = dict(
    type='OnlineFastRCNN',
    _scope_='mmdet',
    # A stream goes on over seconds without a keyframe, however many.
    max_gap=900,
    backbone=dict(
        type='mmaction.MeMViT',
        arch='small',
        temporal_size=16,
        mem_len=2,
        mem_stride=2,
        drop_path_rate=0.4,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained)),
    roi_head=dict(
        type='MeMViTRoIHead',
        mem_len=2,
        mem_stride=2,
        box_block=dict(
            dims=768, num_heads=8, attn_drop=0.5, qkv_drop=0.3, drop=0.3),
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor3D',
            roi_layer_type='RoIAlign',
            featmap_stride=32,
            output_size=7,
            with_temporal_pool=True),
        # Boxes without a label are negatives.
        bbox_head=dict(
            type='MeMViTBBoxHead',
            in_channels=768,
            num_classes=num_classes,
            dropout_ratio=0.5,
            negatives=True)),
    data_preprocessor=dict(
        type='mmaction.AnySizeDataPreprocessor',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW'),
    train_cfg=dict(
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssignerAVA',
                pos_iou_thr=0.9,
                neg_iou_thr=0.9,
                min_pos_iou=0.9),
            # All boxes: ground truth and proposals.
            sampler=dict(
                type='RandomSampler',
                num=1000,
                pos_fraction=1,
                neg_pos_ub=-1,
                add_gt_as_proposals=True))),
    test_cfg=dict(rcnn=None))

# video_id and timestamp are what the memory finds its streams by; results are
# reported in the proposals as they came.
meta_keys = ('img_shape', 'img_key', 'video_id', 'timestamp',
             'orig_proposals')
pack = [
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
train_pipeline = [
    dict(
        type='SampleKeyframeClip', clip_len=16, frame_interval=4,
        perturb=True),
    dict(type='LoadVideoClip'),
    # One draw for all clips of a video: memory compares them.
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomRescale', scale_range=(256, 320)),
            dict(type='RandomCrop', size=224),
            dict(type='Flip', flip_ratio=0.5)
        ]),
    dict(type='DropLostBoxes'), *pack
]
# The whole frame, of any shape.
val_pipeline = [
    dict(type='SampleKeyframeClip', clip_len=16, frame_interval=4),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 224)), *pack
]

dataset = dict(
    type='OnlineAVADataset',
    num_classes=num_classes,
    label_file=label_file,
    data_prefix=dict(video=video_folder),
    index_file=index_file,
    keyframe_rate=keyframe_rate,
    timestamp_start=timestamp_start,
    # Seconds where nobody is labelled too: the memory sees them, and people
    # there show none of the actions.
    keyframes='proposals')
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_train,
        proposal_file=proposal_file_train,
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_val,
        proposal_file=proposal_file_val,
        pipeline=val_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='AVADetectionMetric',
    ann_file=ann_file_val,
    label_file=label_file,
    num_classes=num_classes)
test_evaluator = val_evaluator

train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs=max_epochs,
    val_begin=1,
    val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The rate is that of the released recipe for AVA, for 4 videos side by side;
# --auto-scale-lr fits it to another number.
optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-8),
    # No decay on one-dimensional parameters.
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
auto_scale_lr = dict(enable=False, base_batch_size=4)
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
        T_max=max_epochs,
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True)
]

default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3, save_best='mAP/overall', rule='greater'))
# StepSeedHook makes a resumed run go on exactly as one that was not stopped.
custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]
