# LongCue, MMAction2's ResNet3d on single clips, as if there were no others: it
# learns what signs look like, and questions it can but guess. Its features are
# what the models beside it remember; `make demo-features` runs them all.
_base_ = [
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

num_classes = 4
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet3d',
        depth=18,
        pretrained=None,
        base_channels=8,
        conv1_kernel=(1, 3, 3),
        conv1_stride_s=1,
        conv1_stride_t=1,
        pool1_stride_s=1,
        pool1_stride_t=1,
        inflate=0,
        norm_eval=False),
    cls_head=dict(
        type='I3DHead',
        in_channels=64,
        num_classes=num_classes,
        dropout_ratio=0.,
        topk=(1, ),
        average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127., 127., 127.],
        std=[58., 58., 58.],
        format_shape='NCTHW'))

data_root = 'data/longcue/'
clip_len = 4
dataset = dict(
    data_prefix=dict(video=data_root),
    index_file=data_root + 'longcue_index.json',
    ann_format='segments',
    num_classes=num_classes)
meta_keys = ('img_shape', 'video_id', 'timestamp', 'segment_id')
pipeline = [
    dict(type='LoadVideoClip', cache_size=64),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
# Each labelled clip by itself, in any order.
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='VideoClipsDataset',
        ann_file=data_root + 'train_segments.txt',
        pipeline=[
            dict(
                type='SampleFrames',
                clip_len=clip_len,
                frame_interval=1,
                num_clips=1), *pipeline
        ],
        **dataset))
# All clips in order: whose features are taken out, too.
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        type='OnlineVideoDataset',
        ann_file=data_root + 'val_segments.txt',
        clip_len=clip_len,
        frame_interval=1,
        pipeline=pipeline,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='VideoAccMetric',
    metric_list=('top_k_accuracy', ),
    metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
test_evaluator = val_evaluator

default_hooks = dict(
    logger=dict(interval=40),
    checkpoint=dict(interval=3, save_best=None, max_keep_ckpts=1))
