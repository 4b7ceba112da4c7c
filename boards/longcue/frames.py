# The same for 2D models: the frames of a window are segments.
_base_ = 'windows.py'

sample = dict(type='SampleFrames', clip_len=1, num_clips=9)
shape = dict(type='FormatShape', input_format='NCHW')
train_dataloader = dict(
    dataset=dict(
        short_video='keep',
        pipeline=[sample, _base_.load, shape, _base_.pack]))
val_dataloader = dict(
    dataset=dict(pipeline=[
        dict(sample, test_mode=True), _base_.load, shape, _base_.pack
    ]))
test_dataloader = val_dataloader
