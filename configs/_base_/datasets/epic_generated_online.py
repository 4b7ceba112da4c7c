# The generated kitchen, in the form of EPIC-KITCHENS-100:
#   python examples/generate.py kitchen data/epic_generated
data_root = 'data/epic_generated/videos'
anno_root = 'data/epic_generated/annotations'
index_file = 'data/epic_generated/epic_index.json'

ann_file_train = f'{anno_root}/EPIC_100_train.csv'
ann_file_val = f'{anno_root}/EPIC_100_validation.csv'
classes = dict(num_verbs=5, num_nouns=7)

meta_keys = ('img_shape', 'video_id', 'timestamp', 'token_times',
             'start_seconds')
pipeline = [
    dict(type='LoadVideoClip', cache_size=64),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
dataset = dict(
    type='OnlineEpicDataset',
    data_prefix=dict(video=data_root),
    index_file=index_file,
    video_info_file=f'{anno_root}/EPIC_100_video_info.csv',
    clip_len=4,
    frame_interval=3,
    pipeline=pipeline,
    **classes)
train_dataloader = dict(
    batch_size=30,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(ann_file=ann_file_train, **dataset))
val_dataloader = dict(
    batch_size=24,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(ann_file=ann_file_val, test_mode=True, **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='EpicRecognitionMetric',
    ann_file=ann_file_val,
    tail_verbs=f'{anno_root}/EPIC_100_tail_verbs.csv',
    tail_nouns=f'{anno_root}/EPIC_100_tail_nouns.csv',
    unseen_participants=(
        f'{anno_root}/EPIC_100_unseen_participant_ids_validation.csv'),
    online=True,
    **classes)
test_evaluator = val_evaluator
