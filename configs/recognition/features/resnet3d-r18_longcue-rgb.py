# A stock backbone, frozen as it was initialised, under a head: it sees a clip
# and no more, so chance is what it can reach. Its features are what
# stream-transformer-m8_longcue-feature.py remembers.
_base_ = ['../memvit/memvit-tiny-m8_longcue-rgb.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet3d',
        depth=18,
        pretrained=None,
        base_channels=16,
        conv1_kernel=(1, 3, 3),
        conv1_stride_t=1,
        pool1_stride_t=1,
        inflate=0,
        zero_init_residual=False,
        frozen_stages=4,
        norm_eval=True),
    cls_head=dict(
        _delete_=True,
        type='I3DHead',
        in_channels=128,
        num_classes=4,
        dropout_ratio=0.,
        topk=(1, ),
        average_clips='prob'))
