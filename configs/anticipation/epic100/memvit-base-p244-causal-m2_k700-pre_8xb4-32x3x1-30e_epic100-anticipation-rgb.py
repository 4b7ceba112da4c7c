# MeMViT-24 32x3 on EPIC-KITCHENS-100, anticipation (published, from K700:
# 17.7 overall action class-mean recall@5). Guesses as for MeMViT-16.
_base_ = [
    '../../_base_/models/memvit_small_epic100.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

counts = dict(ann_file=_base_.ann_file_train)
model = dict(
    backbone=dict(
        arch='base', temporal_size=32, drop_path_rate=0.3, causal=True),
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

task = dict(task='anticipation', clip_len=32, frame_interval=3)
train_dataloader = dict(batch_size=4, dataset=task)
val_dataloader = dict(batch_size=4, dataset=task)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric')
test_evaluator = val_evaluator

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_recall5', rule='greater'))

# Converted K700 weights.
load_from = 'checkpoints/memvit_base_k700.pth'
