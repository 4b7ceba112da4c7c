# X-ViT on Something-Something V1, from folders of frames. All as on V2, which
# is a guess: the authors have released no settings for V1.
_base_ = ['xvit-base-p16_in21k-pre_8xb8-u16-35e_sthv2-rgb.py']

# Frames, which need not be opened first.
train_pipeline, val_pipeline, test_pipeline = (
    [x[1], dict(type='RawFrameDecode'), *x[3:]]
    for x in (_base_.train_pipeline, _base_.val_pipeline,
              _base_.test_pipeline))

data = dict(
    type='RawframeDataset',
    data_prefix=dict(_delete_=True, img='data/sthv1/rawframes'),
    filename_tmpl='{:05}.jpg')
train_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv1/sthv1_train_list_rawframes.txt',
        pipeline=train_pipeline,
        **data))
data.update(ann_file='data/sthv1/sthv1_val_list_rawframes.txt')
val_dataloader = dict(dataset=dict(pipeline=val_pipeline, **data))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, **data))
