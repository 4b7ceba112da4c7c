# MeMViT-16 with verbs and nouns of every temporal token.
_base_ = ['memvit_small.py']

model = dict(
    cls_head=dict(
        _delete_=True,
        type='MultiTaskHead',
        num_classes=dict(verb=97, noun=300),
        head=dict(
            type='FrameLevelHead',
            in_channels=768,
            dropout_ratio=0.5,
            average_clips='prob')))
