# LSTR's sizes over RGB and flow features, 4 a second: work memory of 8 s, long
# memory of 512 s, 16 queries of one layer and 32 of two. Layers are normalised
# before, and the long memory holds all vectors rather than every fourth.
model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(type='FeatureBackbone'),
    neck=dict(
        type='LongShortMemory',
        # RGB 2048 and flow 1024.
        in_channels=3072,
        embed_dims=1024,
        num_heads=16,
        dropout=0.2,
        work_len=32,
        long='window',
        long_len=2048,
        num_queries=(16, 32),
        num_stage2_layers=2,
        num_layers=2,
        seconds=0.25),
    cls_head=dict(
        type='FrameLevelHead',
        num_classes=22,
        in_channels=1024,
        dropout_ratio=0.),
    data_preprocessor=dict(type='ActionDataPreprocessor'))
