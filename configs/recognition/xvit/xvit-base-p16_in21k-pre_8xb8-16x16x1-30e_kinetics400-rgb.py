# X-ViT on Kinetics-400, by the settings that the authors have released.
_base_ = [
    '../../_base_/models/xvit_base.py',
    '../../_base_/datasets/kinetics400_16x16.py',
    '../../_base_/schedule_xvit_30e.py', '../../_base_/default_runtime.py'
]

model = dict(
    data_preprocessor=dict(
        blending=dict(
            type='RandomBatchAugment',
            augments=[
                dict(type='MixupBlending', alpha=0.4, num_classes=400)
            ])))
