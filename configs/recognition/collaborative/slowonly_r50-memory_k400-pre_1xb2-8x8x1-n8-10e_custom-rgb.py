# Your own short labelled videos on one GPU: copy this file, change what is
# between the lines. Lists have lines `path label`; of a folder of folders,
# one a class, tools/data/make_video_list.py makes them. Frame counts:
#   python tools/data/build_video_index.py data/custom/train.txt \
#       data/custom/val.txt --data-root data/custom/videos \
#       --out data/custom/index.json
_base_ = ['slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py']

# On the command line these do nothing; there it is, for instance,
# --cfg-options train_dataloader.dataset.pipeline.1.num_clips=4
# ---------------------------------------------------------------------------
num_classes = 10
data = dict(
    data_prefix=dict(video='data/custom/videos'),
    index_file='data/custom/index.json',
    num_classes=num_classes)
ann_file_train = 'data/custom/train.txt'
ann_file_val = 'data/custom/val.txt'
# N clips of each video in training, of 8 frames, frame_interval apart. Videos
# with fewer than 8 * frame_interval + N - 1 frames are left out of training.
num_clips = 8
frame_interval = 8
# ---------------------------------------------------------------------------

clip = dict(clip_len=8, frame_interval=frame_interval)
train_pipeline, val_pipeline, test_pipeline = (
    [x[0], dict(x[1], **clip), *x[2:]]
    for x in (_base_.train_pipeline, _base_.val_pipeline,
              _base_.test_pipeline))
train_pipeline[1]['num_clips'] = num_clips
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    dataset=dict(
        ann_file=ann_file_train,
        missing_video='error',
        pipeline=train_pipeline,
        **data))
val_dataloader = dict(
    num_workers=4,
    dataset=dict(ann_file=ann_file_val, pipeline=val_pipeline, **data))
test_dataloader = dict(
    num_workers=4,
    dataset=dict(ann_file=ann_file_val, pipeline=test_pipeline, **data))

# Two videos make no statistics: the backbone's normalisation stays as it was
# trained, the memory has none. With load_from=None, that is from random
# weights, take norm_eval=False, and 8 videos in a batch.
model = dict(
    backbone=dict(norm_eval=True),
    neck=dict(norm_cfg=None),
    cls_head=dict(num_classes=num_classes))

# No statistics, nothing to synchronise.
sync_bn = None

# A guess; the rate is for 8 videos, --auto-scale-lr fits it to yours.
train_cfg = dict(max_epochs=10, val_interval=1)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=10,
        eta_min=0,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True)
]
