# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

B, N, FRAMES = 2, 3, 2


def build(frames=FRAMES, **kwargs):
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


@pytest.mark.parametrize('mode', ['batch', 'multi_iteration'])
def test_normalisation_groups_hold_all_frames_of_a_clip(mode):
    model = build(mode=mode).train()
    norm = model.backbone.conv1.bn
    inputs, samples = batch()
    x = model.backbone.conv1.conv(inputs.flatten(0, 1)).detach()
    x = x.unflatten(0, (B, N, FRAMES))
    means = [x[:, n].mean((0, 1, 3, 4)) for n in range(N)]
    variances = [x[:, n].movedim(2, 0).flatten(1).var(1) for n in range(N)]
    model(inputs, samples, mode='loss')['loss_cls'].backward()
    torch.testing.assert_close(norm.running_mean, 0.1 * sum(means) / N)
    torch.testing.assert_close(norm.running_var,
                               0.9 + 0.1 * sum(variances) / N)


def test_scores_do_not_depend_on_views_per_pass():
    scores = []
    for limit in (None, 1, 2, 9):
        model = build(test_cfg=dict(num_crops=3, max_testing_views=limit))
        with torch.no_grad():
            out = model(*batch(3 * N * FRAMES), mode='predict')
        scores.append(torch.stack([x.pred_score for x in out]))
    for other in scores[1:]:
        torch.testing.assert_close(other, scores[0], atol=1e-6, rtol=1e-5)


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
