# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Configs of tiny models."""
from mmengine.config import Config

# Puts out 32 channels.
SLOWONLY = dict(type='ResNet3dSlowOnly', depth=18, base_channels=4,
                pretrained=None, lateral=False, conv1_kernel=(1, 7, 7),
                inflate=(0, 0, 1, 1), norm_eval=False)
# Of clips (3, 4, 32, 32); puts out 32 channels.
MEMVIT = dict(type='MeMViT',
              arch=dict(embed_dims=16, num_layers=2, num_heads=1,
                        downscale_indices=[1]),
              spatial_size=32, temporal_size=4,
              mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)))


def shrink_detector(cfg: Config) -> Config:
    """MMDetection's, without weights, of few channels and small pictures."""
    model = cfg.model
    model.backbone.update(init_cfg=None, depth=18, base_channels=8)
    model.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
    for part in ('rpn_head', 'bbox_head'):
        if part in model:
            model[part].update(in_channels=16, feat_channels=16)
    if 'roi_head' in model:
        model.roi_head.bbox_roi_extractor.out_channels = 16
        model.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32)
    # Weights are random and scores low: every box is a detection.
    test = model.test_cfg.get('rcnn', model.test_cfg)
    test.update(score_thr=0., max_per_img=20)
    cfg.test_dataloader.dataset.pipeline[1].scale = (160, 120)
    return cfg
