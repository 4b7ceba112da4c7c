# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample


def build(**kwargs):
    torch.manual_seed(0)
    head = MODELS.build({
        **dict(type='mmaction.FrameLevelHead', num_classes=3, in_channels=4,
               dropout_ratio=0., topk=(1, )),
        **kwargs})
    torch.nn.init.normal_(head.fc_cls.weight)
    return head


def samples(*labels):
    return [ActionDataSample(gt_label=torch.tensor(x)) for x in labels]


def features(batch=2, tokens=5):
    return torch.randn(
        batch, 4, tokens, 2, 3, generator=torch.Generator().manual_seed(3))


def test_scores_are_per_token():
    head, x = build(), features()
    scores = head(x)
    assert scores.shape == (2, 5, 3)
    expected = head.fc_cls(x[1, :, 3].mean((1, 2)))
    torch.testing.assert_close(scores[1, 3], expected)
    cls = torch.full((2, 4), float('nan'))
    for feats in ([x, cls], (x, ), ([x, cls], ), ([x + 1, cls], [x, cls])):
        assert torch.equal(head(feats), scores)


def test_only_labelled_tokens_count():
    head, x = build(), features(tokens=3)
    losses = head.loss(x, samples([2, -1, 0], [-1, -1, 1]))
    rows = head(x)[[0, 0, 1], [0, 2, 2]]
    labels = torch.tensor([2, 0, 1])
    torch.testing.assert_close(losses['loss_cls'],
                               F.cross_entropy(rows, labels))
    hits = (rows.argmax(1) == labels).double().mean()
    assert losses['top1_acc'] == pytest.approx(hits.item())


@pytest.mark.parametrize('first', [[.5, .5, 0.], [0., 0., 0.]])
def test_tokens_of_several_classes(first):
    head, x = build(), features(tokens=2)
    shares = [[first, [0., 0., 0.]], [[0., 0., 0.], [0., 1., 0.]]]
    losses = head.loss(x, samples(*shares))
    scores, labels = head(x).flatten(0, 1), torch.tensor(shares).flatten(0, 1)
    keep = labels.any(1)
    # Shares of nothing are no label.
    assert len(labels[keep]) == 1 + any(first)
    torch.testing.assert_close(
        losses['loss_cls'], F.cross_entropy(scores[keep], labels[keep]))


def test_without_labels_the_loss_is_zero_with_a_graph():
    head, x = build(), features(tokens=2)
    loss = head.loss(x, samples([-1, -1], [-1, -1]))['loss_cls']
    assert loss == 0
    loss.backward()
    assert all((p.grad == 0).all() for p in head.parameters())


def test_views_are_averaged():
    x = features(batch=4)
    prob, score = build(), build(average_clips='score')
    out = prob.predict(x, samples([0] * 5, [0] * 5))
    expected = prob(x).softmax(-1)
    torch.testing.assert_close(out[1].pred_score, expected[2:].mean(0))
    out = score.predict(x, samples([0] * 5, [0] * 5))
    torch.testing.assert_close(out[1].pred_score, score(x)[2:].mean(0))


def test_bad_use():
    with pytest.raises(ValueError, match='average_clips'):
        build(average_clips=None)
    with pytest.raises(ValueError, match='clip_len / temporal'):
        build().loss(features(), samples([0, 1], [0, 1]))
    with pytest.raises(ValueError, match='num_classes=4'):
        build().loss(features(), samples(*torch.zeros(2, 5, 4).tolist()))
