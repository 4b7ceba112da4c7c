# VideoMAE with a memory: MMAction2's detector of AVA (ViT-B; 33.6 mAP without
# memory, trained on AVA-Kinetics), whose boxes pass a causal transformer that
# remembers those of the 16 keyframes before. Its recipe, on AVA alone; crops
# are of 224 pixels.
_base_ = [
    '../../_base_/models/memvit_small_ava.py',
    '../../_base_/datasets/ava22_online.py', '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaction.VisionTransformer',
        img_size=224,
        patch_size=16,
        embed_dims=768,
        depth=12,
        num_heads=12,
        mlp_ratio=4,
        qkv_bias=True,
        num_frames=16,
        norm_cfg=dict(type='LN', eps=1e-6),
        drop_path_rate=0.2,
        use_mean_pooling=False,
        return_feat_map=True),
    roi_head=dict(
        type='StreamTransformerRoIHead',
        _delete_=True,
        # Few keyframes have more persons.
        num_slots=20,
        transformer=dict(
            in_channels=768,
            embed_dims=512,
            num_layers=2,
            dropout=0.3,
            # Clips: a keyframe a second.
            mem_len=16,
            # After a break, what is older than that is another scene.
            max_seconds=30.),
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor3D',
            roi_layer_type='RoIAlign',
            featmap_stride=16,
            output_size=8,
            with_temporal_pool=True),
        # Boxes without a label are left out.
        bbox_head=dict(
            type='MeMViTBBoxHead',
            in_channels=512,
            num_classes=81,
            dropout_ratio=0.5,
            negatives=False)),
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))))

train_dataloader = dict(batch_size=8)
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=20, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1.25e-4, weight_decay=0.05),
    constructor='LearningRateDecayOptimizerConstructor',
    paramwise_cfg=dict(
        decay_rate=0.75, decay_type='layer_wise', num_layers=12),
    clip_grad=dict(max_norm=40, norm_type=2))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=15,
        by_epoch=True,
        begin=5,
        end=20,
        convert_to_iter_based=True)
]
default_hooks = dict(
    checkpoint=dict(interval=1, save_best='mAP/overall', rule='greater'))
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/videomae/'
    'vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400_20221013-860a3cd3.pth')

# (8 GPUs) x (8 lanes per GPU)
auto_scale_lr = dict(enable=False, base_batch_size=64)
