# The generated kitchen, anticipation: what is used 1 s from now was shown 4 to
# 8 clips before the use. examples/demo.py epic runs it all. What is taken next
# cannot be known, so it trains on a list without that.
_base_ = [
    '../../_base_/models/memvit_tiny_epic_generated.py',
    '../../_base_/datasets/epic_generated_online.py',
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

model = dict(backbone=dict(causal=True))
task = dict(task='anticipation')
train_dataloader = dict(
    dataset=dict(
        ann_file=f'{_base_.anno_root}/EPIC_100_train_uses.csv', **task))
val_dataloader = dict(dataset=task)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric')
test_evaluator = val_evaluator

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs)
default_hooks = dict(
    logger=dict(interval=24),
    checkpoint=dict(interval=max_epochs, save_best=None, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=30)

# It starts from the model that recognises, which knows what cues are.
load_from = 'work_dirs/memvit-tiny-m8_epic-generated-rgb/epoch_4.pth'
