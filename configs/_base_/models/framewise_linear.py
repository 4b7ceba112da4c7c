# A linear layer on each feature: what it tells by itself, without memory.
model = dict(
    type='OnlineRecognizer3D',
    backbone=dict(type='FeatureBackbone'),
    cls_head=dict(
        type='FrameLevelHead',
        num_classes=22,
        # RGB 2048 and flow 1024.
        in_channels=3072,
        dropout_ratio=0.2),
    data_preprocessor=dict(type='ActionDataPreprocessor'))
