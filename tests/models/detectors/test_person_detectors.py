# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detectors of persons by MMDetection, which AVA-style data begins with."""
import numpy as np
import pytest
import torch
from helpers.models import shrink_detector
from mmdet.apis import inference_detector, init_detector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData


@pytest.mark.parametrize('name', ['faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
                                  'retinanet/retinanet_r50_fpn_1x_coco'])
def test_detects_and_learns(name):
    with DefaultScope.overwrite_default_scope('mmdet'):
        detect_and_learn(shrink_detector(get_config(f'mmdet::{name}.py')))


def detect_and_learn(cfg: Config) -> None:
    model = init_detector(cfg, device='cpu', palette='coco')
    image = np.random.default_rng(0).integers(
        0, 256, (96, 128, 3), dtype=np.uint8)
    found = inference_detector(model, image).pred_instances
    assert 1 < len(found) <= 20
    assert torch.isfinite(found.bboxes).all()
    assert (found.scores.diff() <= 0).all()

    gt = InstanceData(bboxes=torch.tensor([[10., 10., 90., 80.]]),
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
