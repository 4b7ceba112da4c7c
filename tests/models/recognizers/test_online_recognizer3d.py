# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch
import torch.nn.functional as F
from helpers.models import MEMVIT
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample


def build(head='MViTHead', **kwargs):
    torch.manual_seed(0)
    backbone = {**MEMVIT, **kwargs.pop('backbone', {})}
    model = MODELS.build(dict(type='OnlineRecognizer3D', backbone=backbone,
                              cls_head=dict(type=head, in_channels=32,
                                            num_classes=3, dropout_ratio=0.,
                                            average_clips='prob'),
                              **kwargs))
    for param in model.parameters():
        param.data += 0.2 * torch.randn_like(param)
    return model


def batch(*clips, views: int = 1):
    """Inputs and samples of (video, position[, label])."""
    inputs, samples = [], []
    for video, position, *label in clips:
        gen = torch.Generator().manual_seed(1000 * ord(video) + position)
        inputs.append(torch.randn(views, 3, 4, 32, 32, generator=gen))
        sample = ActionDataSample(
            metainfo=dict(video_id=video, timestamp=position))
        samples.append(sample.set_gt_label(label[0] if label else 0))
    return torch.stack(inputs), samples


def scores(model, *clips, **kwargs):
    with torch.no_grad():
        out = model.eval()(*batch(*clips, **kwargs), mode='predict')
    return [x.pred_score for x in out]


def test_scores_do_not_depend_on_the_batch():
    alone = [scores(build(), ('a', 0))[0]]
    model = build()
    alone = [scores(model, ('a', i))[0] for i in range(4)]
    model = build()
    scores(model, ('b', 0), ('a', 0))
    scores(model, ('a', 1), ('b', 1), ('c', 0))
    scores(model, ('c', 1), ('a', 2))
    last = scores(model, ('d', 7), ('b', 2), ('a', 3))[2]
    torch.testing.assert_close(last, alone[3], atol=1e-5, rtol=1e-5)
    # Without its past the clip scores otherwise.
    fresh = scores(build(), ('a', 3))[0]
    assert (fresh - last).abs().max() > 1e-4


def test_views_are_streams_of_their_own():
    model, single = build(), build()
    for i in range(3):
        inputs, samples = batch(('a', i), views=3)
        with torch.no_grad():
            out = model.eval()(inputs, samples, mode='predict')
    expected = []
    for view in range(3):
        single = build()
        for i in range(3):
            inputs, samples = batch(('a', i), views=3)
            with torch.no_grad():
                one = single.eval()(
                    inputs[:, view:view + 1], samples, mode='predict')
        expected.append(one[0].pred_score)
    torch.testing.assert_close(out[0].pred_score,
                               torch.stack(expected).mean(0))
    # The views may also pass one by one.
    chunked = build(test_cfg=dict(max_testing_views=1))
    for i in range(3):
        inputs, samples = batch(('a', i), views=3)
        with torch.no_grad():
            one = chunked.eval()(inputs, samples, mode='predict')
    torch.testing.assert_close(one[0].pred_score, out[0].pred_score)


def test_modes_do_not_share_memory():
    losses = []
    for validate in (False, True):
        model = build().train()
        for i in range(3):
            loss = model(*batch(('a', i, 1), ('b', i, 2)), mode='loss')
            if validate:
                model.eval_mode = 'val'
                scores(model, ('a', i + 1), ('b', 7))
                model.train()
        losses.append(loss['loss_cls'])
    torch.testing.assert_close(*losses)


def test_unlabelled_clips_only_feed_the_memory():
    model = build().train()
    other = copy.deepcopy(model)
    first = model(*batch(('a', 0, -1), ('b', 0, 2)), mode='loss')
    alone = other(*batch(('b', 0, 2)), mode='loss')
    torch.testing.assert_close(first['loss_cls'], alone['loss_cls'])
    nothing = model(*batch(('a', 1, -1), ('b', 1, -1)), mode='loss')
    assert nothing['loss_cls'] == 0
    nothing['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.banks['train'].num_continued == 2


def test_clips_with_a_label_at_some_token_take_part():
    model = build('FrameLevelHead').train()
    inputs, samples = batch(('a', 0, [1, -1]), ('b', 0, [-1, 2]),
                            ('c', 0, [-1, -1]))
    loss = model(inputs, samples, mode='loss')['loss_cls']
    logits = model.eval()(inputs, stage='head', mode='tensor')
    torch.testing.assert_close(
        loss, F.cross_entropy(logits[[0, 1], [0, 1]], torch.tensor([1, 2])))


def test_a_step_that_is_not_finite_does_not_poison():
    model = build().eval()
    inputs, samples = batch(('a', 0))
    with torch.no_grad():
        model(inputs * float('nan'), samples, mode='predict')
        after = model(*batch(('a', 1)), mode='predict')[0].pred_score
    torch.testing.assert_close(after, scores(build(), ('a', 1))[0])


def test_without_memory_it_is_the_stock_recognizer():
    plain = build(backbone=dict(mem_len=0))
    assert not plain.with_memory
    a = [scores(plain, ('a', i))[0] for i in range(2)]
    fresh = scores(build(backbone=dict(mem_len=0)), ('a', 1))[0]
    torch.testing.assert_close(a[1], fresh)


def test_tensor_mode_and_stages_need_no_samples():
    model = build()
    inputs, _ = batch(('a', 0))
    feats = model(inputs, mode='tensor')
    assert feats[-1][0].shape == (1, 32, 2, 4, 4)
    logits = model(inputs, stage='head', mode='tensor')
    assert logits.shape == (1, 3)
    assert len(model.banks['predict']) == 0


def test_a_sample_without_identity_is_an_error():
    inputs, samples = batch(('a', 0))
    samples[0].pop('timestamp')
    with pytest.raises(KeyError, match='no timestamp.*PackActionInputs'):
        build()(inputs, samples, mode='loss')


def test_memory_is_no_part_of_checkpoints_and_copies():
    model = build()
    scores(model, ('a', 0))
    assert not any('bank' in key for key in model.state_dict())
    assert len(copy.deepcopy(model).banks['predict']) == 0
