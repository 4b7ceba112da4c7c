# Kinetics-400 as streams: all clips of a video, in order. Frame counts come
# from index files (AVI headers and many others are not to be trusted):
#   python tools/data/build_video_index.py \
#       data/kinetics400/kinetics400_train_list_videos.txt \
#       --data-root data/kinetics400/videos_train \
#       --out data/kinetics400/index_train.json --num-workers 16
dataset_type = 'OnlineVideoDataset'
data_root = 'data/kinetics400/videos_train'
data_root_val = 'data/kinetics400/videos_val'
ann_file_train = 'data/kinetics400/kinetics400_train_list_videos.txt'
ann_file_val = 'data/kinetics400/kinetics400_val_list_videos.txt'
index_file_train = 'data/kinetics400/index_train.json'
index_file_val = 'data/kinetics400/index_val.json'
clip = dict(clip_len=16, frame_interval=4)

# video_id and timestamp are what the memory finds its streams by.
meta_keys = ('img_shape', 'video_id', 'timestamp', 'segment_id',
             'start_seconds')
train_pipeline = [
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    # One draw for all clips of a video: memory compares them.
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomResizedCrop'),
            dict(type='Resize', scale=(224, 224), keep_ratio=False),
            dict(type='Flip', flip_ratio=0.5)
        ]),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
val_pipeline = [
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file_train,
        data_prefix=dict(video=data_root),
        index_file=index_file_train,
        short_video='pad',
        missing_video='skip',
        pipeline=train_pipeline,
        **clip))
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file_val,
        data_prefix=dict(video=data_root_val),
        index_file=index_file_val,
        short_video='pad',
        pipeline=val_pipeline,
        test_mode=True,
        **clip))
test_dataloader = val_dataloader

val_evaluator = dict(type='VideoAccMetric')
test_evaluator = val_evaluator
