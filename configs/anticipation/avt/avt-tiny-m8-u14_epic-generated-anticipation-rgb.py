# The generated kitchen, anticipation: what is used was shown 4 to 8 clips
# before the use. A clip is one frame, which lasts 0.4 s; the use is foretold
# from the clip that begins 1.2 s before it. examples/demo.py avt runs it.
_base_ = [
    '../../_base_/models/avt_tiny_epic_generated.py',
    '../../_base_/datasets/epic_generated_online.py',
    '../../_base_/schedule_demo_3e.py', '../../_base_/default_runtime.py'
]

dataset = dict(
    task='anticipation',
    # The 25 pairs of verb and noun that there are; the metric takes them, too.
    actions=f'{_base_.anno_root}/actions.csv',
    clip_len=1,
    frame_interval=12,
    num_tokens=1,
    # From the end of a clip.
    tau_a=0.8)
train_dataloader = dict(
    batch_size=12,
    batch_sampler=dict(unroll=14),
    # Without what is taken, which nobody can foresee.
    dataset=dict(
        ann_file=f'{_base_.anno_root}/EPIC_100_train_uses.csv', **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric', tau_a=0.8)
test_evaluator = val_evaluator

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_begin=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs)
default_hooks = dict(
    logger=dict(interval=40),
    checkpoint=dict(interval=max_epochs, save_best=None, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=12)
