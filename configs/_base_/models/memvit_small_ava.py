# MeMViT-16 for AVA: M=2 clips at a gap of 2 are remembered, by the backbone
# and by the box block.
model = dict(
    type='OnlineFastRCNN',
    _scope_='mmdet',
    # A stream goes on over seconds without a keyframe, however many.
    max_gap=900,
    backbone=dict(
        type='mmaction.MeMViT',
        arch='small',
        temporal_size=16,
        mem_len=2,
        mem_stride=2,
        drop_path_rate=0.4),
    roi_head=dict(
        type='MeMViTRoIHead',
        mem_len=2,
        mem_stride=2,
        box_block=dict(
            dims=768, num_heads=8, attn_drop=0.5, qkv_drop=0.3, drop=0.3),
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor3D',
            roi_layer_type='RoIAlign',
            featmap_stride=32,
            output_size=7,
            with_temporal_pool=True),
        # Boxes without a label are negatives.
        bbox_head=dict(
            type='MeMViTBBoxHead',
            in_channels=768,
            num_classes=81,
            dropout_ratio=0.5,
            negatives=True)),
    data_preprocessor=dict(
        type='mmaction.AnySizeDataPreprocessor',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW'),
    train_cfg=dict(
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssignerAVA',
                pos_iou_thr=0.9,
                neg_iou_thr=0.9,
                min_pos_iou=0.9),
            # All boxes: ground truth and proposals.
            sampler=dict(
                type='RandomSampler',
                num=1000,
                pos_fraction=1,
                neg_pos_ub=-1,
                add_gt_as_proposals=True))),
    test_cfg=dict(rcnn=None))
