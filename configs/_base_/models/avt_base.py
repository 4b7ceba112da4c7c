# AVT: ViT-B/16 by frame, from ImageNet-21k, and the paper's head. Actions are
# pairs of verb and noun of the training and validation lists.
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='XViT',
        arch='base',
        # Nothing is mixed, and frames know no time: an image transformer.
        window=0,
        temporal_positions=0,
        temporal_head='frames',
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
        type='AVTHead',
        num_classes=3806,
        in_channels=768,
        # Of verb, noun, action.
        label_column=2,
        average_clips='score'))
