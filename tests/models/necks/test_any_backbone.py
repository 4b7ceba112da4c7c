# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The necks take what MMAction2's own backbones give, as its configs do."""
import copy

import pytest
import torch
from helpers.stock_models import CLIP, FRAMES, STOCK, without_weights
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from mmengine.optim import OptimWrapper
from torch import nn

from mmaction_memvit.models.layers.feature_vectors import feature_vectors

KINDS = ('csn', 'i3d', 'mvit', 'r2plus1d', 'slowfast', 'slowonly', 'swin',
         'timesformer', 'uniformer', 'videomae', 'x3d', 'tsn',
         'tsm/tsm_imagenet-pretrained-r50')
NECKS = dict(
    StreamTransformer=dict(embed_dims=16, num_heads=2, mem_len=4),
    LongShortMemory=dict(
        embed_dims=16, num_heads=2, work_len=4, long='laplace'))


def backbones():
    """One config of each kind, with what shrinks it and an input."""
    for kind in KINDS:
        yield next(x for x in STOCK if f'/{kind}' in x[0] and x[2] is not None)


def build(config, smaller, shape, neck):
    cfg = get_config(f'mmaction::{config}.py')
    cfg.merge_from_dict(copy.deepcopy(dict(model=dict(backbone=smaller))))
    backbone = ConfigDict(without_weights(cfg.model.backbone.to_dict()))
    if shape == FRAMES:
        if 'num_segments' in backbone:
            backbone.num_segments = shape[1]
        backbone = dict(type='FramewiseBackbone', backbone=backbone)
        shape = CLIP
    backbone = MODELS.build(backbone)
    backbone.eval()
    with torch.no_grad():
        vectors = feature_vectors(backbone(torch.rand(shape[1:])))
    model = MODELS.build(
        dict(
            type='OnlineRecognizer3D', backbone=dict(type='FeatureBackbone'),
            neck=dict(NECKS[neck], type=neck, in_channels=vectors.shape[-1]),
            cls_head=dict(type='I3DHead', in_channels=16, num_classes=3,
                          init_std=1., dropout_ratio=0., average_clips='prob'),
            data_preprocessor=dict(
                type='ActionDataPreprocessor', mean=[127.] * 3,
                std=[64.] * 3, format_shape='NCTHW')))
    model.backbone = backbone
    return model, shape[1:]


def batch(shape, position):
    gen = torch.Generator().manual_seed(position)
    samples = [
        ActionDataSample(metainfo=dict(
            video_id=video, timestamp=position, start_seconds=2. * position)
        ).set_gt_label(1) for video in 'ab']
    # Dark and bright ones: of noise, random features are all alike.
    bright = torch.tensor([100, 10, 255])[position]
    clips = [torch.randint(bright, shape, generator=gen).byte() for _ in 'ab']
    return dict(inputs=clips, data_samples=samples)


@pytest.mark.parametrize('config,smaller,shape', backbones(),
                         ids=[x[0].split('/')[1] for x in backbones()])
def test_stock_backbones_train_and_test(config, smaller, shape):
    torch.manual_seed(0)
    neck = list(NECKS)[len(config) % 2]
    model, shape = build(config, smaller, shape, neck)
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-2),
                         clip_grad=dict(max_norm=1.))
    weight = next(x.weight for x in model.backbone.modules()
                  if isinstance(x, (nn.Conv2d, nn.Conv3d)))
    before = weight.detach().clone()
    loss = model.train().train_step(batch(shape, 0), optim)['loss']
    assert 0 < loss < 100
    assert not torch.equal(weight, before)

    def scores(*positions):
        model.banks['predict'].clear()
        for position in positions:
            with torch.no_grad():
                found = model.eval().test_step(batch(shape, position))
        return torch.stack([x.pred_score for x in found])

    remembered, alone = scores(1, 2), scores(2)
    assert remembered.shape == (2, 3) and torch.isfinite(remembered).all()
    assert (remembered - alone).abs().max() > 1e-5
