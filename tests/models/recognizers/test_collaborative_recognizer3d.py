# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.models import SLOWONLY
from helpers.told import warnings_once
from mmaction.registry import MODELS, TRANSFORMS
from mmaction.structures import ActionDataSample
from mmengine.optim import OptimWrapper
from torch.profiler import ProfilerActivity, profile

B, N, CLASSES = 3, 3, 4


@MODELS.register_module(force=True)
class SimplePool(torch.nn.Module):
    """A neck without memory."""


def config(depth=18, **kwargs):
    cfg = dict(
        type='CollaborativeRecognizer3D', backbone=dict(SLOWONLY, depth=depth),
        neck=dict(type='CollaborativeMemory',
                  in_channels=32 if depth == 18 else 128, zero_init=False),
        cls_head=dict(type='I3DHead', num_classes=CLASSES,
                      in_channels=32 if depth == 18 else 128, dropout_ratio=0.,
                      topk=(1, ), average_clips='prob'))
    for key, value in kwargs.items():
        if isinstance(value, dict) and key in cfg:
            value = {**cfg[key], **value}
        cfg[key] = value
    return cfg


def build(**kwargs):
    torch.manual_seed(0)
    model = MODELS.build(config(**kwargs))
    # A strong head and memory: nothing shall hide behind small numbers.
    torch.nn.init.normal_(model.cls_head.fc_cls.weight)
    return model.double()


def batch(videos=B, views=N, size=32, **meta):
    gen = torch.Generator().manual_seed(0)
    inputs = torch.randn(
        videos, views, 3, 2, size, size, generator=gen, dtype=torch.double)
    return inputs, [ActionDataSample(metainfo=meta).set_gt_label(i % CLASSES)
                    for i in range(videos)]


def total(losses):
    return sum(v for k, v in losses.items() if 'loss' in k)


def gradients(model, inputs, samples):
    model.zero_grad()
    losses = model(inputs, samples, mode='loss')
    total(losses).backward()
    return losses, {k: p.grad for k, p in model.named_parameters()}


def flat(grads, name=''):
    return torch.cat(
        [g.flatten() for k, g in sorted(grads.items()) if name in k])


@pytest.mark.parametrize('weight', [1., 0.3])
def test_losses_are_those_of_eq_1(weight):
    model = build(video_loss_weight=weight)
    inputs, samples = batch()
    scores = copy.deepcopy(model)(inputs, stage='head', mode='tensor')
    losses = model(inputs, samples, mode='loss')
    labels = torch.arange(B) % CLASSES
    clip = sum(F.cross_entropy(scores.view(B, N, -1)[:, n], labels)
               for n in range(N)) / N
    video = F.cross_entropy(scores.view(B, N, -1).mean(1), labels)
    torch.testing.assert_close(losses['loss_cls'], clip)
    torch.testing.assert_close(losses['video_loss_cls'], weight * video)
    assert {'top1_acc', 'video_top1_acc'} <= losses.keys()


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('memory', ['associative', 'average'])
@pytest.mark.parametrize('infusion', ['gating', 'residual'])
def test_both_modes_give_the_same(training, memory, infusion):
    neck = dict(memory=memory, infusion=infusion)
    models = [build(mode=mode, neck=neck).train(training)
              for mode in ('batch', 'multi_iteration')]
    (losses, grads), (others, other_grads) = (
        gradients(model, *batch()) for model in models)
    for key, value in losses.items():
        torch.testing.assert_close(value, others[key])
    for key, value in grads.items():
        torch.testing.assert_close(other_grads[key], value, msg=key)
    for (key, a), b in zip(models[0].state_dict().items(),
                           models[1].state_dict().values()):
        torch.testing.assert_close(a, b, msg=key)
        if 'num_batches_tracked' in key:
            assert a == int(training)


@pytest.mark.parametrize('mode', ['batch', 'multi_iteration'])
def test_checkpoints_within_the_backbone_change_nothing(mode):
    """MMAction2's with_cp computes layers again, in the backward pass."""
    inputs, samples = batch()
    plain = build()
    _, expected = gradients(plain, inputs, samples)
    model = build(mode=mode, backbone=dict(with_cp=True))
    recomputed = []
    conv = model.backbone.layer2[0].conv1.conv
    conv.register_forward_hook(lambda *args: recomputed.append(1))
    _, grads = gradients(model, inputs, samples)
    assert len(recomputed) > 1
    # To rounding; with groups or averages lost, off by tens of percent.
    error = (flat(grads) - flat(expected)).norm() / flat(expected).norm()
    assert error < 1e-9
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(model.get_buffer(name), buffer)


def test_the_gradient_has_a_part_through_the_memory():
    inputs, samples = batch()
    model = build(mode='multi_iteration').eval()
    losses, full = gradients(model, inputs, samples)
    fixed_model = build(mode='multi_iteration', memory_grad=False).eval()
    fixed_losses, fixed = gradients(fixed_model, inputs, samples)
    torch.testing.assert_close(losses['loss_cls'], fixed_losses['loss_cls'])
    # The difference, by itself: features fixed, memory not.
    model.zero_grad()
    feats = model.backbone(inputs.flatten(0, 1))
    memory = model.neck.write(feats, N)
    scores = model.cls_head(model.neck.read(feats.detach(), memory, N))
    labels = torch.arange(B) % CLASSES
    loss = F.cross_entropy(scores, labels.repeat_interleave(N))
    loss = loss + F.cross_entropy(scores.view(B, N, -1).mean(1), labels)
    loss.backward()
    for key, param in model.named_parameters():
        if key.startswith('backbone'):
            torch.testing.assert_close(full[key], fixed[key] + param.grad)
        else:
            # Also W_k and W_v, which write.
            torch.testing.assert_close(full[key], fixed[key])
    assert fixed['neck.paths.0.key.weight'].abs().sum() > 0
    share = (flat(full, 'backbone') - flat(fixed, 'backbone')).norm() / flat(
        full, 'backbone').norm()
    assert share > 1e-3


def peak(mode, views, tmp_path):
    """Most bytes that a training step allocates at a time."""
    model = build(depth=50, mode=mode).train()
    for param in model.parameters():
        # They stay, and are no activations.
        param.grad = torch.zeros_like(param)
    inputs, samples = batch(2, views, size=64)
    with profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        total(model(inputs, samples, mode='loss')).backward()
    record.export_chrome_trace(str(tmp_path / 'trace.json'))
    with open(tmp_path / 'trace.json') as file:
        events = json.load(file)['traceEvents']
    sizes = [(x['ts'], x['args']['Bytes']) for x in events
             if x.get('name') == '[memory]']
    sizes = np.cumsum([x for _, x in sorted(sizes, key=lambda x: x[0])])
    assert sizes[-1] == 0
    return sizes.max()


def test_multi_iteration_needs_the_memory_of_one_clip(tmp_path):
    one, two, many = (peak('multi_iteration', n, tmp_path) for n in (1, 2, 8))
    # For N > 1, whatever N, a clip's gradients of the weights wait for those
    # of the others; and one more, while it is added.
    weights = [p.numel() * p.element_size()
               for p in build(depth=50).parameters()]
    assert two - sum(weights) - max(weights) < 1.1 * one
    # What is kept of 6 more clips: their last features.
    assert many - two < 0.05 * one
    # What it spares, and that the measure is one.
    assert peak('batch', 4, tmp_path) > 3 * one


def three_crops(frames=40, clips=10, length=2):
    """What a test pipeline makes of a video of marked columns."""
    image = np.arange(12, dtype=np.int16)[None, :, None].repeat(4, 0)
    results = dict(
        imgs=[image.repeat(3, 2) + 20 * i for i in range(length * clips)],
        num_clips=clips, clip_len=length, img_shape=(4, 12))
    for cfg in (dict(type='ThreeCrop', crop_size=4),
                dict(type='FormatShape', input_format='NCTHW')):
        results = TRANSFORMS.build(cfg)(results)
    return results['imgs']


def test_centre_crops_are_where_the_transforms_put_them():
    views = three_crops()
    model = build(test_cfg=dict(num_crops=3))
    _, samples = batch()
    chosen = model._memory_views(30, samples)
    assert chosen == list(range(20, 30))
    # Columns 4 to 7 of 12, in each of the ten clips.
    assert (views[chosen][:, 0, 0, 0] - views[chosen][:, 0, 0, 0, :1]
            == np.arange(4)).all()
    first = views[chosen][:, 0, 0, 0, 0].astype(int)
    assert ((first - 4) % 20 == 0).all()
    _, samples = batch(num_clips=10)
    assert build()._memory_views(30, samples) == chosen
    assert build()._memory_views(10, samples) == list(range(10))
    assert build()._memory_views(1, samples) == [0]
    assert build(test_cfg=dict(num_crops=3, memory_crop=0))._memory_views(
        30, []) == list(range(10))


@pytest.mark.parametrize('limit', [1, 3, 10, 30])
def test_scores_do_not_depend_on_views_per_pass(limit):
    model = build(test_cfg=dict(num_crops=3)).eval()
    for module in model.modules():
        if hasattr(module, 'running_mean'):
            torch.nn.init.normal_(module.running_mean)
    inputs, samples = batch(2, 30)
    with torch.no_grad():
        # To the letter: scan 1 over centre crops, scan 2 crop by crop.
        memory = [model.neck.write(model.backbone(x), 1)
                  for x in inputs[:, 20:].unbind(1)]
        memory = [sum(parts[1:], start=parts[0]) for parts in zip(*memory)]
        expected = sum(
            model.cls_head(model.neck.read(model.backbone(x), memory, 1)
                           ).softmax(-1) for x in inputs.unbind(1)) / 30
        model.test_cfg = dict(num_crops=3, max_testing_views=limit)
        out = model(inputs, samples, mode='predict')
    scores = torch.stack([x.pred_score for x in out])
    torch.testing.assert_close(scores, expected, atol=1e-9, rtol=0)
    # Videos do not mix; the left crop alone makes other scores.
    with torch.no_grad():
        alone = model(inputs[1:], samples[1:], mode='predict')
        torch.testing.assert_close(alone[0].pred_score, expected[1])
        model.test_cfg = dict(num_crops=3, memory_crop=0)
        other = model(inputs, samples, mode='predict')[0].pred_score
    assert (other - expected[0]).abs().max() > 1e-6


def test_baselines_without_memory():
    model = build(neck=None)
    cfg = config(neck=None)
    cfg['type'] = 'Recognizer3D'
    stock = MODELS.build(cfg).double()
    stock.load_state_dict(model.state_dict())
    inputs, samples = batch(views=1)
    expected = stock(inputs, samples, mode='loss')
    got = model(inputs, samples, mode='loss')
    torch.testing.assert_close(got['loss_cls'], expected['loss_cls'])
    torch.testing.assert_close(got['video_loss_cls'], expected['loss_cls'])
    # One clip alone makes a group what stock normalisation sees.
    for key, value in stock.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)
    inputs, samples = batch()
    with torch.no_grad():
        out = model.eval()(inputs, samples, mode='predict')
        expected = stock.eval()(inputs, samples, mode='predict')
    torch.testing.assert_close(out[0].pred_score, expected[0].pred_score)


def train_step(model, optim):
    inputs, samples = batch(size=48)
    data = dict(inputs=list(inputs.float()), data_samples=samples)
    return model.train_step(data, optim)


@pytest.mark.parametrize('mode', ['batch', 'multi_iteration'])
@pytest.mark.parametrize('kwargs', [
    dict(freeze_backbone=True),
    dict(backbone=dict(frozen_stages=4, norm_eval=True))])
def test_frozen_backbone(kwargs, mode):
    model = build(mode=mode, **kwargs).float().train()
    assert model.neck.training
    before = copy.deepcopy(model.state_dict())
    optim = OptimWrapper(
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad],
                        0.1))
    train_step(model, optim)
    changed = {k.split('.')[0] for k, v in model.state_dict().items()
               if (v != before[k]).any()}
    assert changed == {'neck', 'cls_head'}


def test_a_video_too_short_is_an_error():
    model = build()
    inputs, samples = batch(frame_inds=np.array([0, 8, 0, 9, 2, 10]))
    model(inputs, samples, mode='loss')
    inputs, samples = batch(frame_inds=np.array([0, 8, 1, 9, 1, 9]))
    with pytest.raises(ValueError, match='2.*3.*fewer'):
        model(inputs, samples, mode='loss')


def test_bad_options():
    with pytest.raises(ValueError, match='scan'):
        build(mode='scan')
    with pytest.raises(TypeError, match='CollaborativeMemory.*SimplePool'):
        MODELS.build({**config(), 'neck': dict(type='SimplePool')})
    model = build(test_cfg=dict(num_crops=4)).eval()
    inputs, samples = batch()
    with pytest.raises(ValueError, match='3.*4.*num_crops'):
        model(inputs, samples, mode='predict')
    with pytest.raises(ValueError, match='memory_crop=None.*4'):
        model._memory_views(8, [])
    with pytest.raises(ValueError, match='in_channels=16.*32'):
        build(neck=dict(in_channels=16))(inputs, samples, mode='loss')
    with pytest.raises(ValueError, match='SyncBN'):
        build()(inputs[:1], samples[:1], mode='loss')


def test_silent_crops_are_told_once(monkeypatch):
    told = warnings_once(monkeypatch)

    def said():
        return [x for x in told if 'num_crops' in x]

    def predict(model, inputs, samples):
        with torch.no_grad():
            model.eval()(inputs, samples, mode='predict')

    for changes, data in ((dict(test_cfg=dict(num_crops=1)), batch()),
                          (dict(), batch(num_clips=3)),
                          (dict(neck=None), batch()),
                          (dict(), batch(views=1))):
        predict(build(**changes), *data)
    assert not said()
    model = build()
    for _ in range(2):
        predict(model, *batch())
    text, = said()
    assert '3 views' in text and 'PackActionInputs' in text
