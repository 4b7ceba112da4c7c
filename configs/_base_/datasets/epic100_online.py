# EPIC-KITCHENS-100 as streams: whole videos, clip by clip, with labels for
# every temporal token. Videos in any of the folders in which downloads put
# them; their frame counts:
#   python tools/data/epic100/check_epic.py \
#       data/epic100/annotations/EPIC_100_train.csv \
#       data/epic100/annotations/EPIC_100_validation.csv \
#       --video-info data/epic100/annotations/EPIC_100_video_info.csv \
#       --videos data/epic100/videos --index data/epic100/index_videos.json
# For folders of frames: data_prefix=dict(img='data/epic100/frames'), no
# index_file, and RawFrameDecode in place of LoadVideoClip.
dataset_type = 'OnlineEpicDataset'
data_root = 'data/epic100/videos'
anno_root = 'data/epic100/annotations'
index_file = 'data/epic100/index_videos.json'

ann_file_train = f'{anno_root}/EPIC_100_train.csv'
ann_file_val = f'{anno_root}/EPIC_100_validation.csv'
clip = dict(clip_len=16, frame_interval=4)

# video_id and timestamp are what the memory finds its streams by, token_times
# what the metric finds segments by.
meta_keys = ('img_shape', 'video_id', 'timestamp', 'token_times',
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

dataset = dict(
    type=dataset_type,
    data_prefix=dict(video=data_root),
    index_file=index_file,
    video_info_file=f'{anno_root}/EPIC_100_video_info.csv',
    # Long stretches without any annotation are left out, and memory starts
    # anew after them. How long is a guess; None shows all.
    max_idle=30.,
    **clip)
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_train,
        missing_video='skip',
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_val,
        pipeline=val_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='EpicRecognitionMetric',
    ann_file=ann_file_val,
    tail_verbs=f'{anno_root}/EPIC_100_tail_verbs.csv',
    tail_nouns=f'{anno_root}/EPIC_100_tail_nouns.csv',
    unseen_participants=(
        f'{anno_root}/EPIC_100_unseen_participant_ids_validation.csv'),
    online=True)
test_evaluator = val_evaluator
