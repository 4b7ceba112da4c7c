# SlowOnly on single frames, which share a memory along the window.
_base_ = 'slowonly.py'

model = dict(
    type='CollaborativeRecognizer3D',
    neck=dict(type='CollaborativeMemory', in_channels=128))
sample = dict(type='SampleFrames', clip_len=1, num_clips=9)
pack = dict(
    type='PackActionInputs',
    meta_keys=('img_shape', 'video_id', 'timestamp', 'num_clips'))
train_dataloader = dict(
    dataset=dict(
        short_video='skip',
        pipeline=[sample, _base_.load, _base_.shape, pack]))
val_dataloader = dict(
    dataset=dict(pipeline=[
        dict(sample, test_mode=True), _base_.load, _base_.shape, pack
    ]))
test_dataloader = val_dataloader
