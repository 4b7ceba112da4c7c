# MeMViT-16 on AVA v2.2, trained through the memories of backbone and boxes:
# windows of 8 seconds (docs/unrolled_training.md). Not in the paper, which
# stops the gradient at memory. A step has 8 clips a GPU, the recipe 2; the
# learning rate is the recipe's.
_base_ = ['memvit-small-p244-m2g2_k400-pre_8xb2-16x4x1-30e_ava22-rgb.py']

model = dict(with_cp=True)
train_dataloader = dict(batch_size=1, batch_sampler=dict(unroll=8))
auto_scale_lr = dict(base_batch_size=8)
