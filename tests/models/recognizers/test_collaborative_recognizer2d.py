# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope

B, N, FRAMES = 2, 3, 2


def build(frames=FRAMES, **kwargs):
    init_default_scope('mmaction')
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='CollaborativeRecognizer2D', frames_per_clip=frames,
            backbone=dict(type='ResNet', depth=18, pretrained=None),
            neck=dict(
                type='CollaborativeMemory', in_channels=512, zero_init=False),
            cls_head=dict(type='TSNHead', num_classes=4, in_channels=512,
                          topk=(1, ), dropout_ratio=0., average_clips='prob'),
            **kwargs)).eval()


def batch(views=N * FRAMES):
    gen = torch.Generator().manual_seed(0)
    return torch.randn(B, views, 3, 32, 32, generator=gen), [
        ActionDataSample().set_gt_label(i) for i in range(B)]


def test_a_clip_is_all_its_frames():
    model = build()
    inputs, _ = batch()
    feats = model.backbone(inputs.flatten(0, 1))
    clips = feats.view(B * N, FRAMES, 512, 1, 1).transpose(1, 2)
    read, _ = model.neck(clips, num_clips=N)
    expected = model.cls_head.fc_cls(read.mean((2, 3, 4)))
    got = model(inputs, stage='head', mode='tensor')
    torch.testing.assert_close(got, expected)
    assert model(inputs, mode='tensor').shape == feats.shape


@pytest.mark.parametrize('meta, views, expected', [
    (dict(num_clips=FRAMES), 3, [2]),
    (dict(num_clips=FRAMES, clip_len=1), 3, [2]),
    (dict(num_clips=2 * FRAMES, clip_len=1), 6, [4, 5]),
    (dict(num_clips=2, clip_len=FRAMES), 6, [4, 5]),
    (dict(num_clips=FRAMES, clip_len=1), 1, [0]),
])
def test_centre_crops_write(meta, views, expected):
    """Samplers of frames count frames as clips."""
    sample = ActionDataSample(metainfo=meta)
    assert build()._memory_views(views, [sample]) == expected


def test_metainfo_that_does_not_fit():
    sample = ActionDataSample(metainfo=dict(num_clips=8, clip_len=1))
    with pytest.raises(ValueError, match='6 views.*4 clips.*twice_sample'):
        build()._memory_views(6, [sample])


def test_frames_that_make_no_clips():
    with pytest.raises(ValueError, match='5 frames.*frames_per_clip=2'):
        build()(*batch(5), mode='loss')
