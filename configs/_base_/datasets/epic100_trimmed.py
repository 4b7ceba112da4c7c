# Annotated segments of EPIC-KITCHENS-100, for any recognizer: 16 frames at a
# rate of 30 / 4 a second, whatever the rate of the video. Frame counts of the
# videos: see epic100_online.py.
dataset_type = 'EpicDataset'
data_root = 'data/epic100/videos'
anno_root = 'data/epic100/annotations'
index_file = 'data/epic100/index_videos.json'

ann_file_train = f'{anno_root}/EPIC_100_train.csv'
ann_file_val = f'{anno_root}/EPIC_100_validation.csv'
clip = dict(clip_len=16, frame_interval=4, target_fps=30)

meta_keys = ('img_shape', 'narration_id', 'video_id', 'timestamp')
train_pipeline = [
    dict(type='SampleFrames', num_clips=1, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
val_pipeline = [
    dict(type='SampleFrames', num_clips=1, test_mode=True, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
test_pipeline = [
    dict(type='SampleFrames', num_clips=5, test_mode=True, **clip),
    *val_pipeline[1:]
]

dataset = dict(
    type=dataset_type,
    data_prefix=dict(video=data_root),
    index_file=index_file,
    video_info_file=f'{anno_root}/EPIC_100_video_info.csv')
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
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
    # Every segment is scored once, whatever the number of processes.
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file=ann_file_val,
        pipeline=val_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file=ann_file_val,
        pipeline=test_pipeline,
        test_mode=True,
        **dataset))

val_evaluator = dict(
    type='EpicRecognitionMetric',
    ann_file=ann_file_val,
    tail_verbs=f'{anno_root}/EPIC_100_tail_verbs.csv',
    tail_nouns=f'{anno_root}/EPIC_100_tail_nouns.csv',
    unseen_participants=(
        f'{anno_root}/EPIC_100_unseen_participant_ids_validation.csv'))
test_evaluator = val_evaluator
