# MeMViT-24 32x3 on EPIC-KITCHENS-100, recognition (published: 71.4 verb, 48.4
# action top-1). Guesses as for MeMViT-16; also the learning rate.
_base_ = [
    '../../_base_/models/memvit_small_epic100.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(arch='base', temporal_size=32, drop_path_rate=0.3))

clip = dict(clip_len=32, frame_interval=3)
train_dataloader = dict(batch_size=4, dataset=clip)
val_dataloader = dict(batch_size=4, dataset=clip)
test_dataloader = val_dataloader

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_top1', rule='greater'))

# Converted K600 or K700 weights.
load_from = 'checkpoints/memvit_base_k600.pth'
