# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

FRAMES = dict(type='FrameLevelHead', in_channels=4, dropout_ratio=0.)
SIZES = dict(verb=3, noun=6)


def build(head=FRAMES, num_classes=SIZES, **kwargs):
    torch.manual_seed(0)
    head = MODELS.build(
        dict(type='MultiTaskHead', num_classes=num_classes, head=head,
             **kwargs))
    for param in head.parameters():
        torch.nn.init.normal_(param)
    return head


def samples(*labels):
    return [ActionDataSample(gt_label=torch.tensor(x)) for x in labels]


def features(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


STOCK = {
    'TSN': (dict(type='TSNHead', in_channels=4), features(6, 4, 2, 2),
            dict(num_segs=3)),
    'TSM': (dict(
        type='TSMHead', in_channels=4, num_segments=3, is_shift=False,
        consensus=dict(type='AvgConsensus', dim=1)), features(6, 4, 2, 2),
            dict(num_segs=3)),
    'I3D': (dict(type='I3DHead', in_channels=4), features(2, 4, 2, 3, 3), {}),
    'SlowFast': (dict(type='SlowFastHead', in_channels=6),
                 (features(2, 4, 2, 3, 3), features(2, 2, 8, 3, 3)), {}),
    'MViT': (dict(type='MViTHead', in_channels=4),
             ([features(2, 4, 2, 3, 3), features(2, 4)], ), {}),
    'VideoMAE': (dict(type='TimeSformerHead', in_channels=4), features(2, 4),
                 {}),
    'FrameLevel': (FRAMES, ([features(2, 4, 3, 2, 2), features(2, 4)], ), {}),
}


@pytest.mark.parametrize('name', STOCK)
def test_any_head_becomes_one_of_several_tasks(name):
    cfg, feats, kwargs = STOCK[name]
    head = build(cfg, dict(verb=3, noun=6, action=8)).eval()
    label = [[1, 5, 7], [2, 0, 3]]
    tokens = 3 if name == 'FrameLevel' else None
    if tokens:
        label = [[x] * tokens for x in label]
    losses = head.loss(feats, samples(*label), **kwargs)
    out = head.predict(feats, samples(*label), **kwargs)
    for column, (task, size) in enumerate(
            dict(verb=3, noun=6, action=8).items()):
        # As the stock head alone on the labels of this task.
        alone = head.heads[task]
        column = samples(*torch.tensor(label)[..., column].tolist())
        expected = alone.loss(feats, column, **kwargs)
        for key, value in expected.items():
            torch.testing.assert_close(losses[f'{task}_{key}'], value)
        assert losses[f'{task}_loss_cls'] > 0
        assert 0 <= losses[f'{task}_top5_acc'] <= 1
        expected = alone.predict(feats, column, **kwargs)
        for a, b in zip(out, expected):
            assert torch.equal(a.pred_score[task], b.pred_score)
            assert a.pred_score[task].shape[-1] == size
    assert sum('loss' in key for key in losses) == 3


def test_labels_are_ignored_task_by_task():
    head = build()
    x = features(2, 4, 2, 2, 2)
    losses = head.loss(
        x, samples([[1, -1, 0], [-1, 2, 0]], [[-1, -1, 0], [-1, 4, 0]]))
    scores = head(x)
    torch.testing.assert_close(
        losses['verb_loss_cls'],
        F.cross_entropy(scores['verb'][0, :1], torch.tensor([1])))
    torch.testing.assert_close(
        losses['noun_loss_cls'],
        F.cross_entropy(scores['noun'][[0, 1], [1, 1]], torch.tensor([2, 4])))
    losses = head.loss(x, samples([[-1, 1, 0]] * 2, [[-1, 2, 0]] * 2))
    assert losses['verb_loss_cls'] == 0 and 'verb_top1_acc' not in losses
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    for task, param in (('verb', head.heads.verb), ('noun', head.heads.noun)):
        assert (param.fc_cls.weight.grad != 0).any() == (task == 'noun')


def test_options_and_weights_of_tasks():
    plain, x = build(), features(1, 4, 1, 2, 2)
    label = samples([[1, 4, 0]])
    other = build(task_options=dict(noun=dict(label_smooth_eps=0.2)),
                  loss_weights=dict(noun=0.5),
                  label_order=['verb', 'noun', 'action'])
    other.load_state_dict(plain.state_dict())
    a, b = plain.loss(x, label), other.loss(x, label)
    torch.testing.assert_close(a['verb_loss_cls'], b['verb_loss_cls'])
    expected = F.cross_entropy(
        plain(x)['noun'][0], torch.tensor([4]), label_smoothing=0.2)
    torch.testing.assert_close(b['noun_loss_cls'], 0.5 * expected)
    torch.testing.assert_close(a['noun_top1_acc'], b['noun_top1_acc'])


def test_order_of_labels():
    head = build(label_order=('noun', 'verb'))
    x = features(1, 4, 1, 2, 2)
    loss = head.loss(x, samples([[5, 0]]))
    torch.testing.assert_close(
        loss['noun_loss_cls'],
        F.cross_entropy(head(x)['noun'][0], torch.tensor([5])))


def test_blended_labels():
    head = build(dict(type='I3DHead', in_channels=4, dropout_ratio=0.))
    x = features(2, 4, 1, 2, 2)
    # The verb of the second is unknown.
    shares = [[0.25, 0, 0.75, 0, 0.25, 0, 0, 0.75, 0],
              [0., 0, 0, 0, 0, 0, 1, 0, 0]]
    losses = head.loss(x, samples(*shares))
    verb, noun = (head(x)[task].log_softmax(1) for task in SIZES)
    torch.testing.assert_close(losses['verb_loss_cls'],
                               -0.25 * verb[0, 0] - 0.75 * verb[0, 2])
    torch.testing.assert_close(
        losses['noun_loss_cls'],
        -(0.25 * noun[0, 1] + 0.75 * noun[0, 4] + noun[1, 3]) / 2)
    # MMAction2's own blending mixes the numbers of classes.
    with pytest.raises(ValueError, match='MultiTaskBatchAugment'):
        head.loss(x, samples([0.5, 1., 0.], [0.5, 1., 0.]))


def test_tokens_of_several_classes():
    head = build()
    x = features(1, 4, 2, 1, 1)
    # Of the second token only the noun is known.
    shares = [[0.5, 0, 0.5, 0, 0, 1, 0, 0, 0], [0., 0, 0, 0, 0, 0, 0, 0, 1]]
    losses = head.loss(x, samples(shares))
    verb, noun = (head(x)[task][0].log_softmax(1) for task in SIZES)
    torch.testing.assert_close(losses['verb_loss_cls'],
                               -(verb[0, 0] + verb[0, 2]) / 2)
    torch.testing.assert_close(losses['noun_loss_cls'],
                               -(noun[0, 2] + noun[1, 5]) / 2)


def test_order_of_a_config_plays_no_role():
    """MMEngine sorts the keys of configs that it writes."""
    one, two = (build(num_classes=dict(sorted(SIZES.items(), reverse=x)))
                for x in (False, True))
    two.load_state_dict(one.state_dict())
    assert list(one.heads) == list(two.heads) == ['verb', 'noun']
    x = features(1, 4, 2, 1, 1)
    shares = samples([[1., 0, 0, 0, 0, 1, 0, 0, 0]] * 2)
    assert one.loss(x, shares) == two.loss(x, shares)


def test_losses_are_of_full_precision_under_autocast():
    head = build()
    x = features(2, 4, 2, 2, 2)
    label = samples([[1, 2, 0]] * 2, [[0, 3, 0]] * 2)
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss(x, label)
        out = head.predict(x, copy.deepcopy(label))
    assert losses['verb_loss_cls'].dtype == torch.float32
    assert out[0].pred_score['noun'].dtype == torch.float32
    torch.testing.assert_close(losses['verb_loss_cls'],
                               head.loss(x, label)['verb_loss_cls'], rtol=0.05,
                               atol=0.05)


@pytest.mark.parametrize('label,message', [
    ([1], 'shape'),
    ([[1, 2]] * 2, 'shape'),
    ([1, 2, 0], 'clip_len / temporal'),
    ([[1, 2, 0]] * 3, 'clip_len / temporal'),
    ([[1, 6, 0]] * 2, '6.*noun.*num_classes'),
])
def test_bad_labels(label, message):
    with pytest.raises(ValueError, match=message):
        build().loss(features(1, 4, 2, 2, 2), samples(label))


@pytest.mark.parametrize('mem_len', [0, 3])
def test_heads_that_remember_are_no_tasks(mem_len):
    with pytest.raises(ValueError, match='AVTHead.*in place of MultiTask'):
        build(dict(type='AVTHead', in_channels=4, dims=8, num_layers=1,
                   max_len=4, mem_len=mem_len))
