# THUMOS14 as LSTR and TeSTra publish its features, 4 a second, in
#   data/THUMOS/{rgb_kinetics_resnet50,flow_kinetics_bninception}/VIDEO.npy
#   data/THUMOS/target_perframe/VIDEO.npy
# with data_info.json of their repositories beside these folders. For features
# of your own (tools/extract_features.py) give the official lists of actions,
# actions='annotations', in place of targets.
data_root = 'data/THUMOS/'
benchmark = 'thumos14'
features = ['rgb_kinetics_resnet50', 'flow_kinetics_bninception']

pipeline = [
    dict(type='LoadFeatureClip', cache_size=32),
    dict(
        type='PackActionInputs',
        meta_keys=('video_id', 'timestamp', 'start_seconds', 'token_times'))
]
dataset = dict(
    type='OnlineDetectionDataset',
    benchmark=benchmark,
    ann_file='data_info.json',
    data_root=data_root,
    data_prefix=dict(feature=features),
    targets='target_perframe',
    # 8 s a step.
    clip_len=32,
    pipeline=pipeline)
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(split='train', **dataset))
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(split='test', test_mode=True, **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(type='OnlineDetectionMetric', benchmark=benchmark)
test_evaluator = val_evaluator
