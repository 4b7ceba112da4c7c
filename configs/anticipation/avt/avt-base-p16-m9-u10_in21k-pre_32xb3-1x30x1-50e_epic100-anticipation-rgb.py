# AVT on whole videos of EPIC-KITCHENS-100, one frame a second: the paper's
# model, which at each second looks at the last 10 frames, as the trimmed one
# does. Trained on windows of 10 s, 3 videos side by side, by the authors'
# schedule for clips, a guess, as all that is one in ../epic100.
_base_ = [
    '../../_base_/models/avt_base.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_avt_50e.py', '../../_base_/default_runtime.py'
]

model = dict(type='OnlineRecognizer3D', cls_head=dict(mem_len=9))
actions = [_base_.ann_file_train, _base_.ann_file_val]
dataset = dict(
    task='anticipation',
    actions=actions,
    clip_len=1,
    frame_interval=30,
    num_tokens=1,
    # From the end of the second that a frame begins: 1 s after the frame.
    tau_a=0.)
train_dataloader = dict(
    batch_size=3, batch_sampler=dict(unroll=10), dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(type='EpicAnticipationMetric', tau_a=0.)
test_evaluator = val_evaluator

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_recall5', rule='greater'))
