# LongCue, the demo: questions about a cue seen 1 to 8 clips ago. Videos by
# examples/generate.py longcue; `make demo` runs it all.
_base_ = [
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

num_classes = 4
clip_len = 4
size = 32
# With stop-gradient memory, what is to be recalled must be attended to
# directly: as many clips as the longest delay.
model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(
        type='MeMViT',
        arch='tiny',
        spatial_size=size,
        temporal_size=clip_len,
        mem_len=8,
        mem_layers='all',
        mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)),
        adaptive_kv_stride=(1, 4, 4),
        output_cls_token=False,
        # Narrow layers: weights of the usual 0.02 would stay silent.
        init_cfg=[
            dict(type='TruncNormal', layer='Conv3d', std=0.1),
            dict(type='Xavier', layer='Linear', distribution='normal'),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
        ]),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127., 127., 127.],
        std=[58., 58., 58.],
        format_shape='NCTHW'),
    cls_head=dict(
        type='MViTHead',
        in_channels=256,
        num_classes=num_classes,
        with_cls_token=False,
        dropout_ratio=0.,
        topk=(1, ),
        average_clips='prob'))

data_root = 'data/longcue/'
meta_keys = ('img_shape', 'video_id', 'timestamp', 'segment_id', 'fps')
pipeline = [
    dict(type='LoadVideoClip', cache_size=64),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
dataset = dict(
    type='OnlineVideoDataset',
    data_prefix=dict(video=data_root),
    index_file=data_root + 'longcue_index.json',
    ann_format='segments',
    num_classes=num_classes,
    clip_len=clip_len,
    frame_interval=1,
    pipeline=pipeline)

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(ann_file=data_root + 'train_segments.txt', **dataset))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=data_root + 'val_segments.txt', test_mode=True, **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='VideoAccMetric',
    metric_list=('top_k_accuracy', ),
    metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
test_evaluator = val_evaluator
default_hooks = dict(
    logger=dict(interval=24),
    checkpoint=dict(interval=3, save_best=None, max_keep_ckpts=1))
