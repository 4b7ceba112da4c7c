# AVA v2.2 as streams of keyframes, read from the videos: no frames to extract.
# Videos: MMAction2's 15-minute cuts, which start at second 900; for whole
# films set timestamp_start=0. Frame counts come from an index file:
#   python tools/data/ava/prepare_ava.py --help
# For MMAction2's frame folders instead: data_prefix=dict(img='data/ava/
# rawframes'), no index_file, and RawFrameDecode in place of LoadVideoClip.
dataset_type = 'OnlineAVADataset'
data_root = 'data/ava/videos_15min'
anno_root = 'data/ava/annotations'

ann_file_train = f'{anno_root}/ava_train_v2.2.csv'
ann_file_val = f'{anno_root}/ava_val_v2.2.csv'
exclude_file_train = f'{anno_root}/ava_train_excluded_timestamps_v2.2.csv'
exclude_file_val = f'{anno_root}/ava_val_excluded_timestamps_v2.2.csv'
label_file = f'{anno_root}/ava_action_list_v2.2_for_activitynet_2019.pbtxt'
proposal_file_train = (f'{anno_root}/ava_dense_proposals_train.FAIR.'
                       'recall_93.9.pkl')
proposal_file_val = f'{anno_root}/ava_dense_proposals_val.FAIR.recall_93.9.pkl'
index_file = 'data/ava/index_videos_15min.json'

clip = dict(clip_len=16, frame_interval=4)
# video_id and timestamp are what the memory finds its streams by; results are
# reported in the proposals as they came.
meta_keys = ('img_shape', 'img_key', 'video_id', 'timestamp', 'start_seconds',
             'orig_proposals')
train_pipeline = [
    dict(type='SampleKeyframeClip', perturb=True, **clip),
    dict(type='LoadVideoClip'),
    dict(type='RandomRescale', scale_range=(256, 320)),
    dict(type='RandomCrop', size=224),
    dict(type='DropLostBoxes'),
    dict(type='Flip', flip_ratio=0.5),
    dict(
        type='ColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
# The whole frame, of any shape. For the centre crop put
# dict(type='CenterCrop', crop_size=224) after Resize.
val_pipeline = [
    dict(type='SampleKeyframeClip', **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]

dataset = dict(
    type=dataset_type,
    label_file=label_file,
    data_prefix=dict(video=data_root),
    index_file=index_file,
    timestamp_start=900,
    timestamp_end=1800)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_train,
        exclude_file=exclude_file_train,
        proposal_file=proposal_file_train,
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        ann_file=ann_file_val,
        exclude_file=exclude_file_val,
        proposal_file=proposal_file_val,
        keyframes='proposals',
        pipeline=val_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='AVADetectionMetric',
    ann_file=ann_file_val,
    label_file=label_file,
    exclude_file=exclude_file_val)
test_evaluator = val_evaluator
