# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""One training and one test step over MMAction2's models, shrunk."""
import copy

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.optim import OptimWrapper

# Name: (config, channels, shape of a clip, changes of the backbone)
HOSTS = dict(
    c3d=('c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb', 4096,
         (3, 16, 32, 32), dict(out_dim=2048)),
    tsn=('tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb',
         512, (3, 32, 32), dict(depth=18)),
    tsm=('tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb',
         512, (3, 32, 32), dict(depth=18)),
    i3d=('i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb',
         256, (3, 8, 64, 64), dict(base_channels=8)),
    r2plus1d=('r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb', 64,
              (3, 8, 64, 64), dict(base_channels=8)),
    slowonly=('slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb', 256,
              (3, 4, 32, 32), dict(base_channels=8)),
    slowfast=('slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb',
              (512, 64), (3, 16, 32, 32),
              dict(slow_pathway=dict(base_channels=16),
                   fast_pathway=dict(base_channels=2))),
    x3d=('x3d/x3d_s_13x6x1_facebook-kinetics400-rgb', 432, (3, 4, 32, 32),
         dict(gamma_d=1)),
    mvit=('mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb', 32,
          (3, 4, 32, 32),
          dict(arch=dict(_delete_=True, embed_dims=16, num_layers=2,
                         num_heads=1, downscale_indices=[1]),
               spatial_size=32, temporal_size=4)),
    swin=('swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_'
          'kinetics400-rgb',
          64, (3, 4, 32, 32),
          dict(arch=dict(_delete_=True, embed_dims=8, depths=[1, 1, 1, 1],
                         num_heads=[1, 1, 2, 2]),
               pretrained2d=False)),
    timesformer=('timesformer/timesformer_divST_8xb8-8x32x1-15e_'
                 'kinetics400-rgb',
                 24, (3, 2, 32, 32),
                 dict(num_frames=2, img_size=32, embed_dims=24, num_heads=2,
                      num_transformer_layers=2)))
NUM_VIDEOS = 2
NUM_CLIPS = 2


def host(name, **changes):
    path, channels, shape, backbone = copy.deepcopy(HOSTS[name])
    cfg = get_config(f'mmaction::recognition/{path}.py').model
    cfg = Config(cfg.to_dict())
    frames = 8 if name == 'tsm' else 1
    if cfg.type == 'Recognizer2D':
        cfg.frames_per_clip = frames
    cfg.type = f'Collaborative{cfg.type}'
    cfg.merge_from_dict(
        dict(backbone=dict(pretrained=None, **backbone),
             cls_head=dict(in_channels=sum(channels)
                           if isinstance(channels, tuple) else channels),
             neck=dict(type='CollaborativeMemory', in_channels=channels,
                       zero_init=False),
             train_cfg=None,
             test_cfg=dict(_delete_=True, num_crops=3, max_testing_views=2),
             **changes))
    model = MODELS.build(cfg.to_dict())
    for module in model.modules():
        if hasattr(module, 'running_mean'):
            # One step must do, lest values grow from layer to layer.
            module.momentum = 1.
    return model, frames, shape


def data(frames, shape, views):
    gen = torch.Generator().manual_seed(0)
    samples = [ActionDataSample().set_gt_label(i) for i in range(NUM_VIDEOS)]
    inputs = [
        torch.randint(256, (views * frames, *shape), generator=gen).byte()
        for _ in samples]
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize('mode', ['batch', 'multi_iteration'])
@pytest.mark.parametrize('name', HOSTS)
def test_a_training_and_a_test_step(name, mode):
    torch.manual_seed(0)
    model, frames, shape = host(name, mode=mode)
    before = {k: v.clone() for k, v in model.named_parameters()}
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), 1e-5))
    log = model.train_step(data(frames, shape, NUM_CLIPS), optim)
    assert torch.isfinite(log['loss'])
    assert log['loss'] == log['loss_cls'] + log['video_loss_cls']
    still = {k for k, v in model.named_parameters() if (before[k] == v).all()}
    # Nothing of the memory is left out; a norm undoes the last bias.
    assert not [k for k in still if k.startswith('neck') and 'weight' in k]
    assert len(still) < len(before) / 2
    model.eval()
    with torch.no_grad():
        out = model.test_step(data(frames, shape, 3 * NUM_CLIPS))
    assert len(out) == NUM_VIDEOS
    for sample in out:
        assert sample.pred_score.shape == (model.cls_head.num_classes, )
        torch.testing.assert_close(sample.pred_score.sum(), torch.tensor(1.))
