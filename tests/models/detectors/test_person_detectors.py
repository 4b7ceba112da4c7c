# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detectors of persons by MMDetection, which AVA-style data begins with."""
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData


def shrink(cfg: Config) -> Config:
    """No weights from the net, few channels, small pictures."""
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


@pytest.mark.parametrize('name', [
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
])
def test_detects_and_learns(name):
    with DefaultScope.overwrite_default_scope('mmdet'):
        detect_and_learn(shrink(get_config(f'mmdet::{name}.py')))


def detect_and_learn(cfg: Config) -> None:
    model = init_detector(cfg, device='cpu', palette='coco')
    image = np.random.default_rng(0).integers(
        0, 256, (96, 128, 3), dtype=np.uint8)
    found = inference_detector(model, image).pred_instances
    assert 1 < len(found) <= 20
    assert torch.isfinite(found.bboxes).all()
    assert (found.scores.diff() <= 0).all()

    gt = InstanceData(
        bboxes=torch.tensor([[10., 10., 90., 80.]]),
        labels=torch.tensor([0]))
    sample = DetDataSample(
        gt_instances=gt,
        metainfo=dict(
            img_shape=(96, 128), pad_shape=(96, 128), scale_factor=(1., 1.)))
    losses = model.train().loss(torch.rand(1, 3, 96, 128), [sample])
    total, _ = model.parse_losses(losses)
    total.backward()
    grads = [p.grad for p in model.neck.parameters()]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert any(grad.any() for grad in grads)
