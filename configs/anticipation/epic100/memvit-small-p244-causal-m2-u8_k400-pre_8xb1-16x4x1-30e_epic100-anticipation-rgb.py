# Anticipation, trained through the memory: windows of 8 clips
# (docs/unrolled_training.md). Not in the paper, which stops the gradient at
# memory. A lane of 8 clips is a step of as many clips as that of 8 lanes.
# All else is memvit-small-p244-causal-m2_k400-pre_8xb8-16x4x1-30e_epic100-
# anticipation-rgb.py.
_base_ = [
    '../../_base_/models/memvit_small_epic100.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

counts = dict(ann_file=_base_.ann_file_train)
model = dict(
    with_cp=True,
    backbone=dict(causal=True),
    cls_head=dict(
        task_options=dict(
            verb=dict(
                loss_cls=dict(
                    type='EqualizationLoss',
                    class_counts=dict(
                        column='verb_class', num_classes=97, **counts))),
            noun=dict(
                loss_cls=dict(
                    type='EqualizationLoss',
                    class_counts=dict(
                        column='noun_class', num_classes=300, **counts))))))

task = dict(task='anticipation')
train_dataloader = dict(
    batch_size=1, batch_sampler=dict(unroll=8), dataset=task)
val_dataloader = dict(dataset=task)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric')
test_evaluator = val_evaluator

auto_scale_lr = dict(base_batch_size=8)

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_recall5', rule='greater'))

# Released K400 weights, converted by tools/convert_memvit.py.
load_from = 'checkpoints/memvit_small_k400.pth'
