# AVT over a causal MeMViT-16: the backbone remembers the clips before, the
# head the features of the last 10 s, of which a token is 0.27 s. All of the
# recipe is a guess; the transformer is narrower than the paper's, as it runs
# over 40 tokens.
_base_ = [
    '../../_base_/models/memvit_small.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

actions = [_base_.ann_file_train, _base_.ann_file_val]
model = dict(
    backbone=dict(causal=True),
    cls_head=dict(
        _delete_=True,
        type='AVTHead',
        num_classes=3806,
        in_channels=768,
        mem_len=39,
        dims=1024,
        num_layers=4,
        label_column=2))

dataset = dict(task='anticipation', actions=actions)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric')
test_evaluator = val_evaluator

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_recall5', rule='greater'))

# Released K400 weights, converted by tools/convert_memvit.py.
load_from = 'checkpoints/memvit_small_k400.pth'
