# LongCue with boxes, where signs are up to 6 clips old, with a memory of 2,
# trained through it: windows of 8 clips (docs/unrolled_training.md).
_base_ = ['memvit-tiny-m6_longcue-boxes-rgb.py']

model = dict(backbone=dict(mem_len=2), roi_head=dict(mem_len=2))
train_dataloader = dict(batch_size=8, batch_sampler=dict(unroll=8))
auto_scale_lr = dict(base_batch_size=8)
