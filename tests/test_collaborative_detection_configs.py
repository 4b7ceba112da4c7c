# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Every config of detection with a shared memory trains and tests."""
import mmaction_memvit  # noqa: F401  # isort: skip

import pytest
import torch
from helpers.runs import Recorder
from mmaction.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict
from test_configs import (
    CONFIGS,
    MODES,
    shrink_numbers,
    write_boxes,
)

pytest.importorskip('mmdet')

RECIPES = sorted((CONFIGS / 'detection/collaborative').glob('*.py'))
# What the names of published checkpoints begin with.
STOCK = ('slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb',
         'i3d/i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_'
         'kinetics400-rgb')
by_recipe = pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)


@pytest.mark.parametrize(
    'path', [p for p in RECIPES if 'pre_' in p.stem], ids=lambda p: p.stem)
def test_published_checkpoints_fit(path):
    init_default_scope('mmaction')
    cfg = Config.fromfile(str(path))
    name, = (x for x in STOCK if f'/{x}/' in cfg.load_from)
    stock = get_config(f'mmaction::recognition/{name}.py').model
    stock.backbone.update(pretrained=None)
    model = MODELS.build(cfg.model)
    # Raises an error where a tensor of the backbone has no fitting one.
    state = MODELS.build(stock).state_dict()
    load_state_dict(model, state)
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, state[f'backbone.{key}']), key
    if model.with_neck:
        width = sum(x.in_channels for x in model.neck.paths.values())
        assert model.roi_head.bbox_head.fc_cls[0].in_features == width


def test_the_recipe():
    cfg = Config.fromfile(
        str(CONFIGS / 'detection/collaborative/slowfast_r50-memory_k400-pre_'
            '8xb1-4x16x1-n9-18e_ava22-rgb.py'))
    optim = cfg.optim_wrapper.optimizer
    assert (optim.lr, cfg.auto_scale_lr.base_batch_size) == (0.0018, 8)
    assert cfg.train_cfg.max_epochs == 18
    step, = cfg.param_scheduler
    assert (step.milestones, step.gamma) == ([11, 15], 0.1)
    for mode in MODES:
        data = cfg[f'{mode}_dataloader'].dataset
        assert (data.num_clips, data.clip_stride_seconds) == (9, 1)
        # From the one file of paths.
        assert data.label_file.endswith('v2.2_for_activitynet_2019.pbtxt')
        assert data.timestamp_start == 900
    clip = cfg.train_dataloader.dataset.pipeline[0]
    assert clip.clip_len * clip.frame_interval == 4 * 16
    assert cfg.train_dataloader.dataset.get('person_det_score_thr', .9) == .9


def shrink(cfg, folder):
    """A config as it stands, but for its size."""
    write_boxes(folder, cfg)
    backbone, channels = cfg.model.backbone, [64]
    if 'slow_pathway' in backbone:
        backbone.slow_pathway.update(depth=18, base_channels=8)
        backbone.fast_pathway.update(depth=18, base_channels=1)
        channels = [64, 8]
    elif backbone.depth == 50:
        backbone.base_channels = 2
    else:
        channels = [backbone.base_channels * 8]
    if cfg.model.neck is not None:
        cfg.model.neck.in_channels = (
            channels if len(channels) > 1 else channels[0])
    cfg.model.roi_head.bbox_head.in_channels = sum(channels)
    for mode in MODES:
        loader = cfg[f'{mode}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        data = loader.dataset
        data.pop('index_file')
        data.update(
            data_prefix=ConfigDict(video=str(folder)),
            pipeline=shrink_numbers(data.pipeline),
            # Of 2 and 3 seconds.
            short_video='repeat')
    # Normalisation needs two videos.
    cfg.train_dataloader.batch_size = 2
    cfg.work_dir = str(folder / 'run')
    cfg.experiment_name = str(folder).replace('/', '_')
    cfg.load_from = None
    cfg.train_cfg.update(max_epochs=1, val_begin=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(
        interval=1000, save_best=None, save_last=False)
    cfg.log_level = 'WARNING'
    cfg.randomness = dict(seed=0)


@by_recipe
def test_config_trains_and_tests(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # To make the log's copy of a config pretty takes longer than all else.
    monkeypatch.setattr(Config, 'pretty_text', property(repr))
    torch.set_num_threads(1)
    cfg = Config.fromfile(str(path))
    shrink(cfg, tmp_path)
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    runner.register_hook(recorder)
    before = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()
    # Keyframes of four videos, one of AVA's excluded: by windows or single.
    assert len(recorder.losses) == (4 if '-n1-' in path.name else 2)
    assert all(0 < x < 1000 for x in recorder.losses)
    same = [
        k for k, v in runner.model.named_parameters()
        if torch.equal(v, before[k])
    ]
    assert len(same) < len(before) / 4, same
    assert 0 <= runner.test()['mAP/overall'] <= 1
    assert len(recorder.scores) == (9 if '_jhmdb-' in path.name else 8)
