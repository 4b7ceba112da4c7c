# MeMViT-16 trained through its memory: windows of 5 clips, all that a video of
# 10 s has (docs/unrolled_training.md). Not in the paper, which stops the
# gradient at memory. 2 lanes of 5 clips are about the 8 clips a step of the
# recipe, so the learning rate is the same.
_base_ = ['memvit-small-p244-m2_k400-pre_8xb8-16x4x1-30e_kinetics400-rgb.py']

model = dict(with_cp=True)
train_dataloader = dict(batch_size=2, batch_sampler=dict(unroll=5))
auto_scale_lr = dict(base_batch_size=16)
