# The same model trained through its memory, 10 clips at a time: 4 layers that
# attend to 2 clips each reach 8 clips back (docs/unrolled_training.md).
_base_ = ['memvit-tiny-m2_longcue-rgb.py']

train_dataloader = dict(batch_size=8, batch_sampler=dict(unroll=10))
