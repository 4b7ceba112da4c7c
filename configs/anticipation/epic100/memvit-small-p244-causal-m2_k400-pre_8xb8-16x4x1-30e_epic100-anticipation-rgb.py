# MeMViT-16 16x4 on EPIC-KITCHENS-100, anticipation: every token learns the
# action that goes on 1 s after its end, and sees no later frame. The recipe
# is unpublished. Known: a causal model with frame-level output, and that tail
# classes were cared for by an equalisation loss. Guesses: its form
# (EqualizationLoss), threshold and gamma; all that is one in
# configs/recognition/epic100.
_base_ = [
    '../../_base_/models/memvit_small_epic100.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

counts = dict(ann_file=_base_.ann_file_train)
model = dict(
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
train_dataloader = dict(dataset=task)
val_dataloader = dict(dataset=task)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric')
test_evaluator = val_evaluator

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_recall5', rule='greater'))

# Released K400 weights, converted by tools/convert_memvit.py.
load_from = 'checkpoints/memvit_small_k400.pth'
