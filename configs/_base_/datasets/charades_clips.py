# Charades from video files, several clips of each video together. Clips of 64
# frames at a rate of 24 / 2 a second, whatever the rate of the video: what
# SlowFast 16x8 takes. Frame counts of the videos:
#   python tools/data/charades/check_charades.py \
#       data/charades/annotations/Charades_v1_{train,test}.csv \
#       --videos data/charades/Charades_v1_480 \
#       --index data/charades/index_videos.json
# From the official frames: charades_frame_clips.py in place of this.
dataset_type = 'CharadesDataset'
data_root = 'data/charades/Charades_v1_480'
anno_root = 'data/charades/annotations'
clip = dict(clip_len=64, frame_interval=2, target_fps=24)

# The last two tell clips from crops and from averages of clips.
meta_keys = ('img_shape', 'img_key', 'video_id', 'timestamp', 'num_clips',
             'clip_len')
# Guesses: N (the paper: as many clips as memory holds; these 4 see 21 s of
# videos of 30 s), and the crops, which are those of PySlowFast as we remember
# it. To train with the actions that the clips show, instead of all actions of
# the video: dict(type='LabelSampledClips') after SampleFrames.
train_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleFrames', num_clips=4, **clip),
    dict(type='LoadVideoClip'),
    dict(type='RandomRescale', scale_range=(256, 340)),
    dict(type='RandomCrop', size=224),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    # Without frame_inds: 38 of 7,985 videos are too short for 4 different
    # clips. These repeat their frames, which would be an error otherwise.
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
val_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleFrames', num_clips=10, test_mode=True, **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=256),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
# 10 clips x 3 crops. The centre crops write the memory that all 30 read.
test_pipeline = [
    *val_pipeline[:4],
    dict(type='ThreeCrop', crop_size=256), *val_pipeline[5:]
]

dataset = dict(
    type=dataset_type,
    data_prefix=dict(video=data_root),
    index_file='data/charades/index_videos.json')
train_dataloader = dict(
    batch_size=2,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # A last batch of one video would have nothing to normalise over.
    drop_last=True,
    dataset=dict(
        ann_file=f'{anno_root}/Charades_v1_train.csv',
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file=f'{anno_root}/Charades_v1_test.csv',
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
        ann_file=f'{anno_root}/Charades_v1_test.csv',
        pipeline=test_pipeline,
        test_mode=True,
        **dataset))

# Of the views of a video the highest score counts. The head hands them over
# by average_clips=None.
val_evaluator = dict(
    type='MultiLabelMAPMetric',
    class_names=f'{anno_root}/Charades_v1_classes.txt')
test_evaluator = val_evaluator
