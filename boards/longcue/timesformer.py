_base_ = 'windows.py'

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='TimeSformer',
        num_frames=9,
        img_size=32,
        patch_size=8,
        embed_dims=64,
        num_heads=2,
        num_transformer_layers=3,
        attention_type='divided_space_time'),
    cls_head=dict(
        type='TimeSformerHead',
        in_channels=64,
        average_clips='prob',
        **_base_.head),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        format_shape='NCTHW'))
