# Your own long videos on one GPU: copy this file, change what is between the
# lines. Lists: one line a labelled segment, `path start end label`, times in
# seconds; or ann_format='video' and `path label`. See the README.
_base_ = [
    '../../_base_/models/memvit_small.py',
    '../../_base_/datasets/kinetics400_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

# ---------------------------------------------------------------------------
num_classes = 10
data = dict(
    ann_format='segments',
    data_prefix=dict(video='data/custom/videos'),
    index_file='data/custom/index.json',
    num_classes=num_classes)
ann_file_train = 'data/custom/train.txt'
ann_file_val = 'data/custom/val.txt'
load_from = 'checkpoints/memvit_small_k400.pth'
# ---------------------------------------------------------------------------

model = dict(cls_head=dict(num_classes=num_classes))
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    dataset=dict(ann_file=ann_file_train, missing_video='error', **data))
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    dataset=dict(ann_file=ann_file_val, **data))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=10)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=9,
        eta_min=1e-6,
        by_epoch=True,
        begin=1,
        end=10,
        convert_to_iter_based=True)
]
# The rate is for 64 lanes; --auto-scale-lr fits it to yours.
