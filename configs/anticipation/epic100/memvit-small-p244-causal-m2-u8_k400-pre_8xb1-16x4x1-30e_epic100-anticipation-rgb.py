# Anticipation, trained through the memory: windows of 8 clips
# (docs/unrolled_training.md). Not in the paper, which stops the gradient at
# memory. A lane of 8 clips is a step of as many clips as that of 8 lanes.
_base_ = [
    'memvit-small-p244-causal-m2_k400-pre_8xb8-16x4x1-30e_'
    'epic100-anticipation-rgb.py'
]

model = dict(with_cp=True)
train_dataloader = dict(batch_size=1, batch_sampler=dict(unroll=8))
auto_scale_lr = dict(base_batch_size=8)
