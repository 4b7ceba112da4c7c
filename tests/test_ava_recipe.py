# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The AVA configs say what the released recipe says."""
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import learning_rates
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope

from mmaction_memvit.datasets.transforms import SampleKeyframeClip

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


@pytest.mark.parametrize('name,lr,warmup,epochs,per_clip', [
    (SMALL, 0.075, 5, 30, 0.075 / 16), (BASE, 0.6, 6, 40, 0.075 / 16)])
def test_schedule(name, lr, warmup, epochs, per_clip):
    cfg = load(name)
    steps = 200
    assert cfg.train_cfg.max_epochs == epochs
    assert lr / cfg.auto_scale_lr.base_batch_size == pytest.approx(per_clip)
    found = learning_rates(cfg, steps)
    assert found[0] == pytest.approx(1e-6)
    # Warm-up is a straight line to the full rate.
    assert found[warmup * steps // 2] == pytest.approx(
        lr / 2, rel=2 / (warmup * steps))
    assert found[warmup * steps] == pytest.approx(lr, rel=1e-3)
    for epoch in (warmup + 3, (warmup + epochs) // 2, epochs - 1):
        share = (epoch - warmup) / (epochs - warmup)
        wanted = 1e-6 + (lr - 1e-6) * (1 + math.cos(math.pi * share)) / 2
        assert found[epoch * steps] == pytest.approx(wanted, rel=1e-2)
    assert found[-1] == pytest.approx(1e-6, rel=0.1)


def keyframe(timestamp, fps=30., total=27000):
    return dict(
        center_frame=round((timestamp - 900) * fps), total_frames=total,
        fps=fps, start_index=0)


@pytest.mark.parametrize('name,length,interval', [(SMALL, 16, 4),
                                                  (BASE, 32, 3)])
def test_frame_indices(name, length, interval):
    cfg = load(name)
    for loader, train in ((cfg.train_dataloader, True),
                          (cfg.val_dataloader, False)):
        step = dict(loader.dataset.pipeline[0])
        assert step.pop('type') == 'SampleKeyframeClip'
        assert step.pop('perturb', False) == train
        inds = SampleKeyframeClip(**step)(keyframe(1000))['frame_inds']
        center = 3000
        np.testing.assert_array_equal(
            inds,
            np.arange(center - length // 2 * interval,
                      center + length // 2 * interval, interval))
    # Training: each by up to half the rate, the ends inwards only.
    step = dict(cfg.train_dataloader.dataset.pipeline[0])
    step.pop('type')
    rng_state = np.random.get_state()
    np.random.seed(0)
    seen = np.stack([
        SampleKeyframeClip(**step)(keyframe(1000))['frame_inds']
        for _ in range(300)
    ]) - inds
    np.random.set_state(rng_state)
    half = interval // 2
    assert seen[:, 1:-1].min() == -half and seen[:, 1:-1].max() == half
    assert seen[:, 0].min() == 0 and seen[:, 0].max() == half
    assert seen[:, -1].min() == -half and seen[:, -1].max() == 0


def test_the_rest_of_the_recipe():
    small, base = load(SMALL), load(BASE)
    assert small.model.backbone.drop_path_rate == 0.4
    assert base.model.backbone.drop_path_rate == 0.4
    for cfg, gap in ((small, 2), (base, 3)):
        for part in (cfg.model.backbone, cfg.model.roi_head):
            assert (part.mem_len, part.mem_stride) == (2, gap)
        head = cfg.model.roi_head.bbox_head
        assert head.negatives and head.dropout_ratio == 0.5
        block = cfg.model.roi_head.box_block
        assert (block.dims, block.num_heads) == (768, 8)
        assert (block.attn_drop, block.qkv_drop, block.drop) == (.5, .3, .3)
        names = [x.type for x in cfg.train_dataloader.dataset.pipeline]
        names.remove('DropLostBoxes')
        assert names[2:6] == [
            'RandomRescale', 'RandomCrop', 'Flip', 'ColorJitter'
        ]
        rescale, crop = cfg.train_dataloader.dataset.pipeline[2:4]
        assert tuple(rescale.scale_range) == (256, 320) and crop.size == 224
        resize = cfg.test_dataloader.dataset.pipeline[2]
        assert tuple(resize.scale) == (-1, 224)
    assert base.optim_wrapper.clip_grad.max_norm == 5
    assert small.optim_wrapper.get('clip_grad') is None
