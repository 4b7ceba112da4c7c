# Detector over the clips of a window, without backbone and memory.
model = dict(
    type='CollaborativeFastRCNN',
    _scope_='mmdet',
    roi_head=dict(
        type='MeMViTRoIHead',
        box_block=None,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor3D',
            roi_layer_type='RoIAlign',
            featmap_stride=16,
            output_size=7,
            with_temporal_pool=True),
        # Focal loss, gamma being a guess. The head takes the mean over 80
        # classes, alpha makes it their sum, with which the paper's rate fits:
        # see schedule_collaborative_ava_18e.py.
        bbox_head=dict(
            type='MeMViTBBoxHead',
            num_classes=81,
            mlp_head=True,
            focal_gamma=2.,
            focal_alpha=80.,
            dropout_ratio=0.5)),
    data_preprocessor=dict(
        type='mmaction.AnySizeDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
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
    # Clips that pass the backbone at a time; scores do not depend on it.
    test_cfg=dict(rcnn=None, max_testing_views=8))
