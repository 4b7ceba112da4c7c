# AVT-h over features of TSN on whole videos, one a second. See the ViT's
# config for whole videos, and the one for clips of these features.
_base_ = [
    '../../_base_/models/avt_base.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_avt_50e.py', '../../_base_/default_runtime.py'
]

model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(_delete_=True, type='FeatureBackbone'),
    data_preprocessor=dict(mean=None, std=None),
    cls_head=dict(in_channels=1024, mem_len=9))

actions = [_base_.ann_file_train, _base_.ann_file_val]
data = dict(
    task='anticipation',
    actions=actions,
    data_prefix=dict(_delete_=True, feature='data/epic100/rulstm/rgb'),
    index_file=None,
    frame_fps=30.,
    clip_len=1,
    frame_interval=30,
    num_tokens=1,
    # From the end of the second that a frame begins: 1 s after the frame.
    tau_a=0.,
    pipeline=[dict(type='LoadFeatureClip'), _base_.train_pipeline[-1]])
train_dataloader = dict(
    batch_size=64, batch_sampler=dict(unroll=10), dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric', tau_a=0.)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=2e-3))
auto_scale_lr = dict(base_batch_size=128)

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_recall5', rule='greater'))
