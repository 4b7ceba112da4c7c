# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmaction_memvit.memory import state

CHANNELS, CLASSES, MEM_LEN = 6, 5, 4


def build(**kwargs):
    torch.manual_seed(0)
    head = MODELS.build({
        'type': 'AVTHead', 'num_classes': CLASSES, 'in_channels': CHANNELS,
        'mem_len': MEM_LEN, 'dims': 16, 'num_layers': 3, 'num_heads': 2,
        'max_len': 8, **kwargs})
    for param in head.parameters():
        # Weights as they come would hardly tell one past from another.
        torch.nn.init.normal_(param, std=0.4)
    return head.eval()


def clip(feats):
    """(B, T, C) as a backbone gives it."""
    return feats.transpose(1, 2)[..., None, None]


def sample(label):
    return ActionDataSample().set_gt_label(torch.as_tensor(label))


def watch(head, feats, cuts, resets=()):
    """Scores of a stream that is shown in clips ending at ``cuts``."""
    memory, outs, first = head.init_memory(len(feats)), [], 0
    for last in cuts:
        for step, lane in resets:
            if step == first:
                memory = state.reset(memory, torch.arange(len(feats)) == lane)
        out, memory = head(clip(feats[:, first:last]), memory)
        outs.append(out)
        first = last
    return torch.cat(outs, 1)


@torch.no_grad()
@pytest.mark.parametrize('cuts', [range(1, 13), (1, 3, 8, 12), (12, )])
def test_step_by_step_is_at_once(cuts):
    head, feats = build(), torch.randn(3, 12, CHANNELS)
    found = watch(head, feats, cuts)
    # A step's scores are those of the clip of the steps that it looks at.
    for step in range(12):
        window = feats[:, max(0, step - MEM_LEN):step + 1]
        torch.testing.assert_close(
            found[:, step], head(clip(window))[:, -1], atol=1e-5, rtol=1e-5)
    # Without memory, too, and in one pass where that is short enough.
    torch.testing.assert_close(head(clip(feats)), found, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head(clip(feats[:, :MEM_LEN + 1])),
                               found[:, :MEM_LEN + 1], atol=1e-5, rtol=1e-5)
    # Lanes do not know of each other.
    torch.testing.assert_close(watch(head, feats[1:2], cuts), found[1:2])


@torch.no_grad()
def test_lanes_start_anew():
    head, feats = build(), torch.randn(2, 12, CHANNELS)
    found = watch(head, feats, range(1, 13), resets=[(3, 0), (6, 1), (8, 1)])
    for lane, starts in enumerate(([0, 3, 12], [0, 6, 8, 12])):
        for first, last in zip(starts, starts[1:]):
            torch.testing.assert_close(
                found[lane, first:last],
                head(clip(feats[lane:lane + 1, first:last]))[0],
                atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('num', [MEM_LEN + 1, 8])
def test_no_step_sees_a_later_one(num):
    head, feats = build(), torch.randn(2, num, CHANNELS)
    before = head(clip(feats))
    for step in range(num):
        changed = feats.clone()
        changed[:, step] += 1
        after = head(clip(changed))
        assert torch.equal(after[:, :step], before[:, :step])
        seen = slice(step, step + MEM_LEN + 1)
        # And each that looks back so far does.
        moved = (after - before).abs().amax((0, 2)) > 1e-4
        assert moved.tolist() == [i in range(num)[seen] for i in range(num)]


@torch.no_grad()
def test_a_step_costs_the_same_and_shapes_stay():
    head = build()
    memory = head.init_memory(2)
    shapes = [x.shape for x in state.tensors(memory)]
    feats = torch.randn(2, 1, CHANNELS)
    for _ in range(20):
        # Longer than there are positions.
        out, memory = head(clip(feats), memory)
        assert out.isfinite().all()
        assert [x.shape for x in state.tensors(memory)] == shapes
    assert memory.count.tolist() == [MEM_LEN] * 2


@torch.no_grad()
def test_without_history():
    head = build(mem_len=0)
    assert head.init_memory(1) is None
    feats = torch.randn(2, 6, CHANNELS)
    # A clip sees all of itself.
    torch.testing.assert_close(
        head(clip(feats)), build(mem_len=5)(clip(feats)))
    with pytest.raises(ValueError, match='9 .* 8 .*max_len'):
        head(clip(torch.randn(1, 9, CHANNELS)))


def test_a_clip_as_one_step():
    head = build(per_frame=False)
    x = torch.randn(2, CHANNELS, 3, 2, 2)
    with torch.no_grad():
        assert head(x).shape == (2, CLASSES)
        torch.testing.assert_close(
            head(x), head(x.mean((2, 3, 4), keepdim=True)))
    done = head.predict(x, [sample([0]), sample([1])])
    assert done[0].pred_score.shape == (CLASSES, )
    assert done[0].pred_score.sum().item() == pytest.approx(1)


def by_hand(head, feats):
    """Predictions of a clip, and scores of what they are of."""
    out = head._predict_next(feats)
    chain = torch.cat((feats[:, :1], out), 1)
    return out, head.fc_cls(chain)


def test_losses_of_a_clip():
    head = build(drop=0., dropout_ratio=0.).train()
    feats = torch.randn(2, 3, CHANNELS, requires_grad=True)
    labels = torch.tensor([[1, -1, 4, 0], [-1, -1, 2, 3]])
    found = head.loss(clip(feats), [sample(x) for x in labels])
    out, scores = by_hand(head, feats)
    each = F.cross_entropy(scores.flatten(0, 1), labels.flatten(),
                           ignore_index=-1, reduction='none').view(2, 4)
    expected = dict(loss_cls=each[:, -1].mean(), loss_past=each[:, :-1].mean(),
                    loss_feat=F.mse_loss(out[:, :-1], feats[:, 1:]))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    # The features are taught to be foreseen, too.
    grad, = torch.autograd.grad(found['loss_feat'], feats)
    assert (grad[:, -1].abs() > 0).all()
    half = build(drop=0., dropout_ratio=0., feat_weight=0.5, past_weight=0.)
    half = half.train().loss(clip(feats), [sample(x) for x in labels])
    torch.testing.assert_close(half['loss_feat'], 0.5 * found['loss_feat'])
    assert 'loss_past' not in half


def test_losses_of_a_stream():
    head = build(drop=0., dropout_ratio=0., label_column=2).train()
    feats = torch.randn(2, 7, CHANNELS)
    labels = torch.randint(-1, CLASSES, (2, 7, 3))
    labels[:, :, :2] = 96
    memory = head.init_memory(2)
    outs, _ = zip(*[
        (head(clip(feats[:, :2]), memory)),
        (head(clip(feats[:, 2:]), head(clip(feats[:, :2]), memory)[1]))])
    whole = head(clip(feats))
    torch.testing.assert_close(
        torch.cat([x.scores for x in outs], 1), whole.scores)
    assert torch.cat([x.known for x in outs], 1).tolist() == \
        [[0] + [1] * 6] * 2
    found = head.loss_by_feat(whole, [sample(x) for x in labels])
    torch.testing.assert_close(
        found['loss_cls'],
        F.cross_entropy(whole.scores.flatten(0, 1),
                        labels[..., 2].flatten(), ignore_index=-1))
    assert set(found) == {'loss_cls', 'loss_feat', 'top1_acc', 'top5_acc'}
    # What was expected of a step is what was foretold by those before.
    torch.testing.assert_close(
        whole.expected[:, 1:4], head._predict_next(feats[:, :3]))
    nothing = head.loss_by_feat(
        whole, [sample(torch.full((7, 3), -1)) for _ in range(2)])
    assert nothing['loss_cls'] == 0
    sum(v for k, v in nothing.items() if 'loss' in k).backward()


def test_labels_that_do_not_fit():
    head, feats = build().train(), torch.randn(1, 3, CHANNELS)
    with pytest.raises(ValueError, match=r'\(1, 2\).*3 steps'):
        head.loss(clip(feats), [sample([1, 2])])
    with pytest.raises(ValueError, match='label_column'):
        head.loss(clip(feats), [sample([[1, 2, 3]] * 3)])
    with pytest.raises(ValueError, match='label 5 .*num_classes=5'):
        head.loss(clip(feats), [sample([0, 1, 5])])
    with pytest.raises(ValueError, match='label_column=3.*0 to 2'):
        build(label_column=3).train().loss(
            clip(feats), [sample([[1, 2, 3]] * 3)])
    with pytest.raises(ValueError, match='mem_len=8.*7'):
        build(mem_len=8)
    with pytest.raises(ValueError, match='num_heads=3.*16'):
        build(num_heads=3)


@pytest.mark.parametrize('stream', [True, False])
def test_features_of_other_channels(stream):
    head = build()
    with pytest.raises(ValueError, match='4 channels.*in_channels=6'):
        head(clip(torch.randn(1, 3, 4)), head.init_memory(1) if stream
             else None)


def test_views_are_averaged():
    head = build(average_clips='score')
    feats = torch.randn(4, 3, CHANNELS)
    with torch.no_grad():
        done = head.predict(clip(feats), [sample([0]), sample([1])])
        torch.testing.assert_close(
            torch.stack([x.pred_score for x in done]),
            head(clip(feats)).view(2, 2, 3, CLASSES).mean(1))
