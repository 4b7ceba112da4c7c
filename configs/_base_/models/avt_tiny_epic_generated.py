# A tiny AVT for the generated kitchen: an image transformer on one frame a
# clip, and a step of the head for each.
model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(
        type='XViT',
        arch=dict(embed_dims=64, num_layers=3, num_heads=4),
        patch_size=8,
        spatial_size=32,
        window=0,
        temporal_positions=0,
        temporal_head='frames',
        # Narrow layers: weights of the usual 0.02 would stay silent.
        init_cfg=[
            dict(type='TruncNormal', layer='Conv2d', std=0.1),
            dict(type='Xavier', layer='Linear', distribution='normal')
        ]),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127., 127., 127.],
        std=[58., 58., 58.],
        format_shape='NCTHW'),
    cls_head=dict(
        type='AVTHead',
        # Pairs of verb and noun: 6 things to take, 18 uses, and oil.
        num_classes=25,
        in_channels=64,
        mem_len=8,
        dims=128,
        num_layers=2,
        max_len=64,
        # From random weights features would soon be all the same, which are
        # foreseen easily.
        feat_weight=0.,
        topk=(1, ),
        label_column=2,
        init_cfg=[
            dict(type='Xavier', layer='Linear', distribution='normal'),
            dict(type='Normal', layer='Embedding', std=0.3)
        ]))
