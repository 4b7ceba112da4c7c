# The generated kitchen, recognition: the noun of a use was shown 4 to 8 clips
# before. examples/demo.py epic runs it all.
_base_ = [
    '../../_base_/models/memvit_tiny_epic_generated.py',
    '../../_base_/datasets/epic_generated_online.py',
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs)
default_hooks = dict(
    logger=dict(interval=24),
    checkpoint=dict(interval=max_epochs, save_best=None, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=30)
