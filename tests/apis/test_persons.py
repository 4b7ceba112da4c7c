# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from helpers.models import shrink_detector
from mmengine.hub import get_config
from mmengine.registry import DefaultScope, init_default_scope

from mmaction_memvit.apis.persons import PersonDetector


def test_a_detector_of_mmdetection():
    pytest.importorskip('mmdet')
    from mmdet.apis import inference_detector
    init_default_scope('mmaction')
    with DefaultScope.overwrite_default_scope('mmdet'):
        cfg = shrink_detector(
            get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'))
    detector = PersonDetector(cfg, score_thr=0.)
    picture = np.random.default_rng(0).integers(
        0, 256, (96, 128, 3), dtype=np.uint8)
    with DefaultScope.overwrite_default_scope('mmdet'):
        found = inference_detector(
            detector.model, picture[..., ::-1].copy()).pred_instances
    # With random weights any class will do.
    detector.label = int(found.labels.mode().values)
    own = found[found.labels == detector.label]
    boxes = detector(picture, 0.)
    np.testing.assert_allclose(boxes, own.bboxes, atol=1e-3)
    detector.score_thr = float(own.scores[0])
    assert 0 < len(detector(picture, 0.)) <= len(boxes)
    detector.score_thr = 1.1
    assert detector(picture, 0.).shape == (0, 4)
    # Names are ours again.
    assert DefaultScope.get_current_instance().scope_name == 'mmaction'
