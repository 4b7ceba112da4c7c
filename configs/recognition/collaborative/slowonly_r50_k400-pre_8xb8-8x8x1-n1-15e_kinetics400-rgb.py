# The baseline of single clips, trained as long as the others. The paper's 74.5
# are what stage 1 reaches by itself: test the weights that load_from names by
# this config. The rate is that of 64 videos.
_base_ = ['slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py']

model = dict(neck=None)
init, sample, *rest = _base_.train_pipeline
train_pipeline = [init, dict(sample, num_clips=1), *rest]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1))
auto_scale_lr = dict(base_batch_size=64)
# The 8 videos of a GPU make groups by themselves.
sync_bn = None
