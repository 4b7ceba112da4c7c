# A small detector for small data, from random weights, in minutes on a CPU:
# the example of docs/own_data_ava.md (long videos joined from JHMDB clips).
_base_ = ['memvit-small-p244-m2_1xb4-16x4x1-10e_custom-ava-rgb.py']

num_classes = 22
data = dict(
    data_prefix=dict(video='data/jhmdb_long/videos'),
    index_file='data/jhmdb_ava/index.json',
    label_file='data/jhmdb_ava/label_map.pbtxt',
    num_classes=num_classes,
    keyframe_rate=2)

init = [
    dict(type='TruncNormal', layer='Conv3d', std=0.1),
    dict(type='Xavier', layer='Linear', distribution='normal'),
    dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=32,
            num_layers=6,
            num_heads=1,
            downscale_indices=[1, 3]),
        spatial_size=96,
        temporal_size=8,
        mem_stride=1,
        mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)),
        adaptive_kv_stride=(1, 4, 4),
        drop_path_rate=0.1,
        init_cfg=init),
    roi_head=dict(
        mem_stride=1,
        num_slots=4,
        box_block=dict(
            dims=128,
            num_heads=4,
            attn_drop=0.1,
            qkv_drop=0.1,
            drop=0.1,
            init_cfg=init),
        bbox_roi_extractor=dict(featmap_stride=16),
        bbox_head=dict(
            in_channels=128, num_classes=num_classes, dropout_ratio=0.2)))

clip = dict(clip_len=8, frame_interval=4)
train_pipeline = [
    dict(type='SampleKeyframeClip', perturb=True, **clip),
    dict(type='LoadVideoClip'),
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomRescale', scale_range=(96, 120)),
            dict(type='RandomCrop', size=96),
            dict(type='Flip', flip_ratio=0.5),
        ]),
    dict(type='DropLostBoxes'),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=_base_.meta_keys)
]
val_pipeline = [
    dict(type='SampleKeyframeClip', **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 96)),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=_base_.meta_keys)
]
anno_root = 'data/jhmdb_ava'
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        ann_file=f'{anno_root}/train.csv',
        proposal_file=f'{anno_root}/proposals_train.pkl',
        pipeline=train_pipeline,
        **data))
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        ann_file=f'{anno_root}/val.csv',
        proposal_file=f'{anno_root}/proposals_val.pkl',
        pipeline=val_pipeline,
        **data))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=f'{anno_root}/val.csv',
    label_file=data['label_file'],
    num_classes=num_classes)
test_evaluator = val_evaluator

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=2))
auto_scale_lr = dict(base_batch_size=8)
load_from = None
