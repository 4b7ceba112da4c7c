# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The AVA configs say what the released recipe says."""
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope

pytest.importorskip('mmdet')
CONFIGS = Path(__file__).resolve().parents[1] / 'configs/detection/memvit'
SMALL = 'memvit-small-p244-m2g2_k400-pre_8xb2-16x4x1-30e_ava22-rgb.py'
BASE = 'memvit-base-p244-m2g3_k600-pre_16xb8-32x3x1-40e_ava22-rgb.py'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')


def load(name):
    return Config.fromfile(str(CONFIGS / name))


@pytest.mark.parametrize('name', [SMALL, BASE])
def test_no_decay_on_one_dimensional_parameters(name):
    cfg = load(name)
    cfg.model.backbone.arch = dict(
        embed_dims=96, num_layers=2, num_heads=1, downscale_indices=[1])
    model = MODELS.build(cfg.model)
    optim = build_optim_wrapper(model, cfg.optim_wrapper)
    assert isinstance(optim, OptimWrapper)
    decay = {}
    for group in optim.param_groups:
        for param in group['params']:
            decay[id(param)] = group['weight_decay']
    for param_name, param in model.named_parameters():
        wanted = 0. if param.dim() == 1 else 1e-8
        assert decay[id(param)] == wanted, param_name
    sgd = optim.optimizer
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.defaults['nesterov'] and sgd.defaults['momentum'] == 0.9
