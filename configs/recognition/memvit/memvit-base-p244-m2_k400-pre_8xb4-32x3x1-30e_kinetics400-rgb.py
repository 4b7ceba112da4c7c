# MeMViT-24 with a memory of the two last clips, over all clips of a video.
_base_ = [
    '../../_base_/models/memvit_base.py',
    '../../_base_/datasets/kinetics400_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

clip = dict(clip_len=32, frame_interval=3)
train_dataloader = dict(batch_size=4, dataset=clip)
val_dataloader = dict(batch_size=4, dataset=clip)
test_dataloader = val_dataloader

load_from = (
    'work_dirs/memvit-base-p244-m0_64xb8-32x3x1-200e_kinetics400-rgb/'
    'epoch_200.pth')
