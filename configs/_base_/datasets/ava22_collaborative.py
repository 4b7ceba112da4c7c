# AVA v2.2 as windows of N = 9 clips, a second apart; paths and files are those
# of ava22_online.py. N stands in three data loaders, by num_clips.
_base_ = ['ava22_online.py']

clip = dict(clip_len=32, frame_interval=2)
meta_keys = ('img_shape', 'img_key', 'video_id', 'timestamp',
             'orig_proposals')
window = dict(
    type='CollaborativeAVADataset', num_clips=9, clip_stride_seconds=1)
# As in SlowFast. All clips of a window are cropped and flipped alike.
train_pipeline = [
    dict(type='SampleKeyframeClip', **clip),
    dict(type='LoadVideoClip'),
    dict(
        type='PerVideoAugment',
        transforms=[
            dict(type='RandomRescale', scale_range=(256, 320)),
            dict(type='RandomCrop', size=224),
            dict(type='Flip', flip_ratio=0.5)
        ]),
    dict(type='DropLostBoxes'),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]
val_pipeline = [
    dict(type='SampleKeyframeClip', **clip),
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=meta_keys)
]

# The batch is one of windows.
train_dataloader = dict(
    batch_size=1,
    batch_sampler=dict(type='DistinctVideoBatchSampler'),
    dataset=dict(pipeline=train_pipeline, **window))
# A sample holds 16 keyframes and all clips of their windows. The least score
# of test boxes is lost in the paper's text; this is SlowFast's.
val_dataloader = dict(
    batch_size=1,
    batch_sampler=dict(type='DistinctVideoBatchSampler'),
    dataset=dict(
        keyframes_per_item=16,
        person_det_score_thr=0.8,
        pipeline=val_pipeline,
        **window))
test_dataloader = val_dataloader
