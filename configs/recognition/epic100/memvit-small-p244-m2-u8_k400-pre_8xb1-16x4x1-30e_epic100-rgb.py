# MeMViT-16 on EPIC-KITCHENS-100, trained through its memory: windows of 8
# clips (docs/unrolled_training.md). Not in the paper, which stops the gradient
# at memory. A lane of 8 clips is a step of as many clips as that of 8 lanes.
# All else is memvit-small-p244-m2_k400-pre_8xb8-16x4x1-30e_epic100-rgb.py.
_base_ = [
    '../../_base_/models/memvit_small_epic100.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

model = dict(with_cp=True)
train_dataloader = dict(batch_size=1, batch_sampler=dict(unroll=8))
auto_scale_lr = dict(base_batch_size=8)

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_top1', rule='greater'))

# Released K400 weights, converted by tools/convert_memvit.py (the head
# differs, and is left out); or a run of configs/recognition/memvit.
load_from = 'checkpoints/memvit_small_k400.pth'
