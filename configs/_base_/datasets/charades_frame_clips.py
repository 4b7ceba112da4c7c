# Charades from the official frames (Charades_v1_rgb, 24 a second), otherwise
# as charades_clips.py.
_base_ = ['charades_clips.py']

train, val, test = ([x[0], dict(type='RawFrameDecode'), *x[2:]]
                    for x in (_base_.train_pipeline, _base_.val_pipeline,
                              _base_.test_pipeline))
frames = dict(
    data_prefix=dict(_delete_=True, img='data/charades/Charades_v1_rgb'),
    index_file=None)
train_dataloader = dict(dataset=dict(pipeline=train, **frames))
val_dataloader = dict(dataset=dict(pipeline=val, **frames))
test_dataloader = dict(dataset=dict(pipeline=test, **frames))
