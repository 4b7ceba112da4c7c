# Charades from the official frames (Charades_v1_rgb, 24 a second), otherwise
# as charades_clips.py.
_base_ = ['charades_clips.py']

train_pipeline, val_pipeline, test_pipeline = (
    [x[1], dict(type='RawFrameDecode'), *x[3:]]
    for x in (_base_.train_pipeline, _base_.val_pipeline,
              _base_.test_pipeline))
frames = dict(
    data_prefix=dict(_delete_=True, img='data/charades/Charades_v1_rgb'),
    index_file=None)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **frames))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline, **frames))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, **frames))
