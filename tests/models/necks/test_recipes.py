# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Models of the recipes over features train and test, narrower."""
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

CONFIGS = sorted((Path(__file__).resolve().parents[3] / 'configs').glob(
    'online_detection/long_short_memory/*.py'))
CHANNELS, WIDTH, LENGTH = 6, 16, 12


def samples(position, head):
    """Of two videos, with a label for each of their features."""
    classes = head.num_classes
    if isinstance(classes, dict):
        classes = sum(classes.values())
    label = torch.zeros(LENGTH, classes)
    label[:, 3] = label[:, -5] = 1.
    return [
        ActionDataSample(metainfo=dict(
            video_id=video, timestamp=position, start_seconds=3. * position)
        ).set_gt_label(label) for video in 'ab'
    ]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_a_recipe_trains_and_tests(path):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    cfg = Config.fromfile(str(path))
    head = cfg.model.cls_head
    assert cfg.model.neck.embed_dims == head.get('head', head).in_channels
    cfg.model.neck.update(
        in_channels=CHANNELS, embed_dims=WIDTH, num_heads=2)
    head.get('head', head).in_channels = WIDTH
    for name in ('work_len', 'long_len', 'mem_len'):
        if name in cfg.model.neck:
            cfg.model.neck[name] = 5
    model = MODELS.build(cfg.model)
    model.init_weights()
    optim = build_optim_wrapper(model, cfg.optim_wrapper)
    for position in range(2):
        clips = torch.randn(2, 1, CHANNELS, LENGTH, 1, 1)
        losses = model.train()(clips, samples(position, head), mode='loss')
        loss, _ = model.parse_losses(losses)
        assert 0 < loss < 100
        optim.update_params(loss)
    assert model.banks['train'].num_continued == 2
    with torch.no_grad():
        found = model.eval()(clips, samples(1, head), mode='predict')
    scores = found[0].pred_score
    for x in scores.values() if isinstance(scores, dict) else [scores]:
        assert x.shape[0] == LENGTH
        torch.testing.assert_close(x.sum(-1), torch.ones(LENGTH))
