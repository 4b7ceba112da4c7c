# A tiny MeMViT for the generated kitchen. With stop-gradient memory, what is
# to be recalled must be attended to directly: as many clips as the longest
# delay.
model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(
        type='MeMViT',
        arch='tiny',
        spatial_size=32,
        temporal_size=4,
        mem_len=8,
        mem_layers='all',
        mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)),
        adaptive_kv_stride=(1, 4, 4),
        # Narrow layers: weights of the usual 0.02 would stay silent.
        init_cfg=[
            dict(type='TruncNormal', layer='Conv3d', std=0.1),
            dict(type='Xavier', layer='Linear', distribution='normal'),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
        ]),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127., 127., 127.],
        std=[58., 58., 58.],
        format_shape='NCTHW'),
    cls_head=dict(
        type='MultiTaskHead',
        num_classes=dict(verb=5, noun=7),
        head=dict(
            type='FrameLevelHead',
            in_channels=256,
            dropout_ratio=0.,
            topk=(1, ),
            average_clips='prob')))
