# Single clips without memory, the baseline: 26.9 mAP in the paper. A batch has
# as many clips as 8 windows of 9, at the same rate.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r50_4x16_ava.py',
    '../../_base_/datasets/ava22_collaborative.py',
    '../../_base_/schedule_collaborative_ava_18e.py',
    '../../_base_/default_runtime.py'
]

model = dict(neck=None)

train_dataloader = dict(batch_size=9, dataset=dict(num_clips=1))
val_dataloader = dict(dataset=dict(num_clips=1))
test_dataloader = val_dataloader

# (8 GPUs) x (9 clips per GPU)
auto_scale_lr = dict(base_batch_size=72)
# As in the training on Kinetics.
sync_bn = None

default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))

load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth')
