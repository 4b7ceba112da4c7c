# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""OnlineRecognizer3D with labels and scores of every temporal token."""
import copy

import numpy as np
import pytest
import torch
from helpers.epic import write_official
from mmaction.registry import METRICS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

CLIP_LEN, NUM_TOKENS, FPS = 4, 2, 2
SIZES = dict(verb=4, noun=5)
MODEL = ConfigDict(
    type='OnlineRecognizer3D',
    backbone=dict(
        type='MeMViT',
        arch=dict(
            embed_dims=16, num_layers=3, num_heads=1, downscale_indices=[1]),
        spatial_size=32,
        temporal_size=CLIP_LEN,
        mem_len=2,
        mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2))),
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    cls_head=dict(
        type='MultiTaskHead',
        num_classes=SIZES,
        head=dict(type='FrameLevelHead', in_channels=32, dropout_ratio=0.)))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')


def build(**backbone):
    cfg = copy.deepcopy(MODEL)
    cfg.backbone.update(backbone)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    # Strong weights: what is seen must show in the scores.
    for param in model.parameters():
        param.data += 0.2 * torch.randn_like(param)
    return model.eval()


def frames(num_clips, seed=0):
    gen = torch.Generator().manual_seed(seed)
    return torch.randn(3, num_clips * CLIP_LEN, 32, 32, generator=gen)


def clip_of(video, clip):
    return video[:, clip * CLIP_LEN:(clip + 1) * CLIP_LEN]


def sample(video, clip, label=None):
    first = CLIP_LEN * clip + np.arange(NUM_TOKENS) * CLIP_LEN / NUM_TOKENS
    times = np.stack((first, first + CLIP_LEN / NUM_TOKENS), 1) / FPS
    out = ActionDataSample(
        metainfo=dict(video_id=video, timestamp=clip, token_times=times))
    if label is not None:
        out.gt_label = torch.tensor(label)
    return out


@torch.no_grad()
def predict(model, video, name='P01_01'):
    """Samples of all clips of a video, one after the other."""
    model.bank(True).clear()
    return [
        model.predict(
            clip_of(video, i)[None, None], [sample(name, i)])[0]
        for i in range(video.shape[1] // CLIP_LEN)
    ]


def anticipate(model, video, folder, starts, tau_a):
    """Verb and noun scores of the segments, by the metric's own rule."""
    path = write_official(
        folder / 'val.csv',
        [(f'P01_01_{i}', start, start + 1, 1, 2)
         for i, start in enumerate(starts)])
    dump = str(folder / 'dump.npz')
    metric = METRICS.build(
        dict(
            type='EpicAnticipationMetric',
            ann_file=path,
            tau_a=tau_a,
            num_verbs=SIZES['verb'],
            num_nouns=SIZES['noun'],
            online=True,
            dump_file=dump))
    outs = predict(model, video)
    metric.process(None, [x.to_dict() for x in outs])
    metric.evaluate(len(outs))
    scores = np.load(dump, allow_pickle=True)
    return {task: scores[task] for task in SIZES}


@pytest.mark.parametrize('mem_len', [0, 2])
def test_anticipation_does_not_see_what_it_must_not(tmp_path, mem_len):
    model = build(causal=True, mem_len=mem_len)
    video, tau_a = frames(4), 1.
    # Within a token, at the end of one, at the end of a clip.
    starts = [2.3, 3., 5., 5.9, 7.]
    base = anticipate(model, video, tmp_path, starts, tau_a)
    assert all(np.isfinite(x).all() for x in base.values())
    for i, start in enumerate(starts):
        later = np.flatnonzero(
            np.arange(video.shape[1]) / FPS >= start - tau_a)
        for changed in (later, later[:1], later[-1:]):
            other = video.clone()
            other[:, changed] = frames(len(changed), seed=9)[:, :len(changed)]
            scores = anticipate(model, other, tmp_path, starts, tau_a)
            for task in SIZES:
                assert np.array_equal(scores[task][:i + 1],
                                      base[task][:i + 1])
        # The last frame that may be seen is seen, if a token ends with it.
        last = int((start - tau_a) * FPS / 2) * 2 - 1
        other = video.clone()
        other[:, last] += 1
        scores = anticipate(model, other, tmp_path, starts, tau_a)
        assert not np.array_equal(scores['verb'][i], base['verb'][i])


def test_partly_labelled_clips_take_part():
    model = build().train()
    video = frames(2)
    inputs = torch.stack([clip_of(video, 0), clip_of(video, 1)])[:, None]
    label = [[[1, 2, -1], [-1, -1, -1]], [[-1, -1, -1], [-1, 3, -1]]]
    samples = [sample('a', 0, label[0]), sample('b', 0, label[1])]
    losses = model.loss(inputs, samples)
    logits = model.eval()(inputs, stage='head')
    torch.testing.assert_close(
        losses['verb_loss_cls'],
        -logits['verb'][0, 0].log_softmax(0)[1])
    torch.testing.assert_close(
        losses['noun_loss_cls'],
        -(logits['noun'][0, 0].log_softmax(0)[2] +
          logits['noun'][1, 1].log_softmax(0)[3]) / 2)


def test_nothing_labelled():
    model = build().train()
    video = frames(1)
    label = [[-1] * 3] * NUM_TOKENS
    losses = model.loss(video[None, None], [sample('a', 0, label)])
    assert losses['verb_loss_cls'] == losses['noun_loss_cls'] == 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_scores_of_tokens_are_averaged_over_views():
    model, video = build(), frames(2)
    views = torch.stack((video, video.flip(3)))
    with torch.no_grad():
        for i in range(2):
            inputs = views[:, :, CLIP_LEN * i:CLIP_LEN * (i + 1)][None]
            out, = model.predict(inputs, [sample('a', i)])
    single = [
        predict(model, v, name)[1].pred_score['noun']
        for v, name in zip(views, 'bc')
    ]
    torch.testing.assert_close(out.pred_score['noun'],
                               torch.stack(single).mean(0))
    assert out.pred_score['noun'].shape == (NUM_TOKENS, SIZES['noun'])
