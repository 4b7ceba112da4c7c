# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch
from mmaction.registry import MODELS


def test_frames_pass_one_by_one():
    backbone = MODELS.build(
        dict(type='FramewiseBackbone',
             backbone=dict(type='ResNet', depth=18, pretrained=None))).eval()
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        feats = backbone(clips)
        alone = backbone.backbone(clips[1, :, 2][None])
    assert feats.shape == (2, 512, 4, 1, 1)
    torch.testing.assert_close(feats[1, :, 2], alone[0])


def test_shifts_see_the_frames_of_their_own_clip():
    backbone = MODELS.build(dict(type='FramewiseBackbone',
                                 backbone=dict(type='ResNetTSM', depth=18,
                                               num_segments=4, shift_div=8,
                                               pretrained=None)))
    backbone.eval()
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(backbone(clips)[1], backbone(clips[1:])[0])
