# LongCue with boxes, the detection demo: what a person does is told by a sign
# that person showed 1 to 6 clips ago. Videos by
# examples/generate.py longcue-boxes; `make demo-detection` runs it all.
_base_ = [
    '../../_base_/models/memvit_small_ava.py',
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

num_classes = 5
clip_len = 4
mem_len = 6
# Narrow layers: weights of the usual 0.02 would stay silent.
strong_init = [
    dict(type='TruncNormal', layer='Conv3d', std=0.1),
    dict(type='Xavier', layer='Linear', distribution='normal'),
    dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
]
model = dict(
    max_gap=1,
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=32, num_layers=4, num_heads=1,
            downscale_indices=[1, 2]),
        spatial_size=64,
        temporal_size=clip_len,
        mem_len=mem_len,
        mem_stride=1,
        mem_layers='all',
        mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)),
        adaptive_kv_stride=(1, 2, 2),
        patch_cfg=dict(
            kernel_size=(3, 15, 15), stride=(2, 8, 8), padding=(1, 7, 7)),
        output_cls_token=False,
        drop_path_rate=0.,
        init_cfg=strong_init),
    roi_head=dict(
        mem_len=mem_len,
        mem_stride=1,
        num_slots=2,
        box_block=dict(
            dims=128,
            num_heads=4,
            attn_drop=0.,
            qkv_drop=0.,
            drop=0.,
            init_cfg=strong_init),
        bbox_roi_extractor=dict(featmap_stride=32),
        bbox_head=dict(
            in_channels=128, num_classes=num_classes, dropout_ratio=0.)),
    data_preprocessor=dict(mean=[127.] * 3, std=[58.] * 3))

data_root = 'data/longcue_boxes/'
meta_keys = ('img_shape', 'img_key', 'video_id', 'timestamp', 'start_seconds',
             'orig_proposals')
pipeline = [
    dict(
        type='SampleKeyframeClip',
        clip_len=clip_len,
        frame_interval=1,
        sample_fps=None),
    dict(type='LoadVideoClip', cache_size=64),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
# All seconds, whether a question is asked or not: memory sees them too.
dataset = dict(
    type='OnlineAVADataset',
    data_prefix=dict(video=data_root + 'videos'),
    index_file=data_root + 'index.json',
    label_file=data_root + 'label_map.pbtxt',
    num_classes=num_classes,
    keyframes='proposals',
    timestamp_start=0,
    pipeline=pipeline)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=data_root + 'train.csv',
        proposal_file=data_root + 'proposals_train.pkl',
        **dataset))
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=data_root + 'val.csv',
        proposal_file=data_root + 'proposals_val.pkl',
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='AVADetectionMetric',
    ann_file=data_root + 'val.csv',
    # Answers to cues, which have no label in validation, do not count.
    exclude_file=data_root + 'val_excluded.csv',
    label_file=data_root + 'label_map.pbtxt',
    num_classes=num_classes)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=40),
    checkpoint=dict(interval=3, save_best=None, max_keep_ckpts=1))
