# X-ViT-B/16 from ImageNet-21k. Options of the released weights of Kinetics:
# an eighth of the channels from either side, 16 frames mixed in two groups of
# 8 (the paper has no groups: group_length=None).
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='XViT',
        arch='base',
        shift_div=8,
        group_length=8,
        init_cfg=dict(
            type='Pretrained',
            checkpoint=(
                'https://github.com/rwightman/pytorch-image-models/releases/'
                'download/v0.1-vitjx/jx_vit_base_patch16_224_in21k-e5005f0a'
                '.pth'))),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        format_shape='NCTHW'),
    cls_head=dict(
        type='MViTHead',
        in_channels=768,
        num_classes=400,
        dropout_ratio=0.5,
        label_smooth_eps=0.1,
        average_clips='prob'))
