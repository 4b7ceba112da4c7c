# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
from unittest import mock

import pytest
import torch
from helpers.boxes import DETECTOR
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from torch.utils.flop_counter import FlopCounterMode

from mmaction_memvit.memory import remembers
from mmaction_memvit.models import XViT
from mmaction_memvit.models.layers.space_time_mixing import (
    MixingAttention,
    Window,
)

TINY = dict(arch=dict(embed_dims=32, num_layers=3, num_heads=2), patch_size=8,
            spatial_size=16)


def build(**kwargs) -> XViT:
    torch.manual_seed(0)
    model = XViT(**{**TINY, **kwargs})
    for param in model.parameters():
        # Strong weights: other frames must show in the outputs.
        param.data = 0.3 * torch.randn_like(param)
    return model.eval()


def video(frames: int, batch: int = 1, size: int = 16, seed: int = 0):
    gen = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, frames, size, size, generator=gen)


def watch(model, frames, length, resets=None, pick=lambda out: out):
    """What is picked of videos, seen in clips of some length."""
    memory, outs = model.init_memory(len(frames), frames.shape[-2:]), []
    with torch.no_grad():
        for i, clip in enumerate(frames.split(length, 2)):
            if resets and i in resets:
                memory = memory.reset(torch.tensor(resets[i]))
            out, memory = model(clip, memory)
            outs.append(pick(out))
    return torch.cat(outs, 2), memory


# ----------------------------------------------------------------------- sizes
@pytest.mark.parametrize('classes, millions', [(400, '93.79'), (600, '93.94')])
def test_size_is_that_of_the_paper(classes, millions):
    with torch.device('meta'):
        model = MODELS.build(dict(type='Recognizer3D',
                                  backbone=dict(type='XViT', group_length=8),
                                  cls_head=dict(type='MViTHead',
                                                in_channels=768,
                                                num_classes=classes)))
    total = sum(p.numel() for p in model.parameters())
    assert f'{total / 1e6:.2f}' == millions


def test_operations_of_16_frames_are_those_of_the_paper():
    # On shapes alone; a trace is what shows attention as it is defined.
    with torch.device('meta'), torch.no_grad(), mock.patch(
            'torch.jit.is_tracing', return_value=True):
        with FlopCounterMode(display=False) as counter:
            XViT().eval()(torch.empty(1, 3, 16, 224, 224))
    assert counter.get_total_flops() / 2 == pytest.approx(281e9, rel=0.01)


def test_features_are_those_of_an_mmaction2_backbone():
    x = video(4, 2)
    for head in ('transformer', 'average'):
        (patch, cls), = build(temporal_head=head)(x)
        assert patch.shape == (2, 32, 4, 2, 2) and cls.shape == (2, 32)
    assert build(temporal_head='frames')(x).shape == (2, 32, 4, 1, 1)
    assert torch.equal(build(temporal_head=None)(x), patch)
    model = MODELS.build(dict(type='XViT', **TINY))
    model.init_weights()
    # Frames of other sizes, whose positions are resized.
    assert model(video(4, size=40))[0][0].shape == (1, 32, 4, 5, 5)


@pytest.mark.parametrize('options, value', [
    (dict(arch='huge'), 'huge'), (dict(temporal_head='max'), 'max'),
    (dict(window=3, shift_div=4), 'window=3'),
    (dict(stream=True, group_length=8), 'group_length=8')
])
def test_wrong_options_are_told(options, value):
    with pytest.raises(ValueError, match=value):
        XViT(**{**TINY, **options})


def test_wrong_inputs_are_told():
    with pytest.raises(ValueError, match='4x4 .*patch_size=8'):
        build()(video(2, size=4))
    with pytest.raises(ValueError, match='6 frames .*group_length=4'):
        build(group_length=4)(video(6))
    model = build(stream=True)
    memory = model.init_memory(2)
    with pytest.raises(ValueError, match='stream=True'):
        build()(video(2, 2), memory)
    for x in (video(2, 1), video(2, 2, size=24)):
        with pytest.raises(ValueError, match='the memory is of 2 lanes'):
            model(x, memory)


# ---------------------------------------------------------------------- mixing
def mixed_by_loops(x, div, size, look_ahead, group):
    """Keys or values (T, N, C), frame by frame, channel by channel."""
    out, num = x.clone(), x.shape[-1] // div
    for t in range(len(x)):
        for c in range(2 * size * num):
            step = c // num + 1
            step = step if step <= size else size - step
            if step > 0 and not look_ahead:
                continue
            inside = 0 <= t + step < len(x) and (
                t // group == (t + step) // group)
            for n in range(x.shape[1]):
                out[t, n, c] = x[t + step, n, c] if inside else 0.
    return out


@pytest.mark.parametrize('div, size, look_ahead, group', [
    (8, 1, True, 6), (4, 1, True, 6), (8, 1, False, 6), (8, 1, True, 3),
    (8, 2, True, 6), (8, 2, False, 6), (8, 0, True, 6)
])
def test_mixing_equals_plain_loops(div, size, look_ahead, group):
    torch.manual_seed(0)
    dims, heads = 16, 2
    attn = MixingAttention(
        dims, heads, Window(size, dims // div, look_ahead,
                            group if group < 6 else None), True)
    x = torch.randn(1, 6, 5, dims)
    found, _ = attn(x)
    q, k, v = attn.qkv(x)[0].chunk(3, -1)
    k, v = (mixed_by_loops(y, div, size, look_ahead, group) for y in (k, v))
    expected = torch.empty_like(q)
    for t in range(6):
        for h in range(heads):
            own = slice(h * dims // heads, (h + 1) * dims // heads)
            scores = q[t, :, own] @ k[t, :, own].T / (dims // heads)**0.5
            expected[t, :, own] = scores.softmax(-1) @ v[t, :, own]
    torch.testing.assert_close(
        found[0], attn.proj(expected), atol=1e-6, rtol=0)


def seen_by(model, frame, frames=16):
    """Frames that what comes out for a frame depends on."""
    x = video(frames).requires_grad_()
    model(x)[:, :, frame].square().sum().backward()
    return x.grad.abs().sum((0, 1, 3, 4)).nonzero().flatten().tolist()


def test_group_length_leaves_groups_apart():
    whole = build(temporal_head=None)
    assert seen_by(whole, 8) == list(range(5, 12))
    grouped = build(temporal_head=None, group_length=8)
    assert seen_by(grouped, 7) == [4, 5, 6, 7]
    assert seen_by(grouped, 8) == [8, 9, 10, 11]
    causal = build(temporal_head=None, look_ahead=False)
    assert seen_by(causal, 8) == [5, 6, 7, 8]
    apart = build(temporal_head=None, window=0)
    assert seen_by(apart, 8) == [8]


@pytest.mark.parametrize('stream', [False, True])
def test_an_explicit_and_a_recomputed_pass_are_the_same(stream, monkeypatch):
    x = video(6, 2)

    def run(**kwargs):
        model = build(stream=stream, **kwargs)
        memory = (model.init_memory(2), ) if stream else ()
        for clip in x.split(3, 2):
            out = model(clip, *memory)
            if stream:
                out, memory = out[0], out[1:]
        out[0][1].square().sum().backward()
        return out[0][1], model.patch_embed['projection'].weight.grad

    expected = run()
    torch.testing.assert_close(run(with_cp=True), expected)
    monkeypatch.setattr(torch.jit, 'is_tracing', lambda: True)
    torch.testing.assert_close(run(), expected, atol=1e-4, rtol=1e-4)


def test_stochastic_depth_only_trains():
    model = build(drop_path_rate=0.5)
    x = video(4, 8)
    assert torch.equal(model(x)[0][1], build()(x)[0][1])
    model.train()
    assert not torch.equal(model(x)[0][1], model(x)[0][1])


# --------------------------------------------------------------------- streams
@pytest.mark.parametrize('window', [1, 2])
@pytest.mark.parametrize('look_ahead', [True, False])
def test_features_do_not_depend_on_where_a_video_is_cut(look_ahead, window):
    model = build(stream=True, look_ahead=look_ahead, window=window,
                  temporal_head=None)
    assert model.delay == (3 * window if look_ahead else 0)
    x = video(32, 2)
    # A clip by itself sees zeros beyond its end, and is not late.
    whole = model(x).detach()[:, :, :32 - model.delay]
    for length in (1, 4, 8, 16, 32):
        found, memory = watch(model, x, length)
        torch.testing.assert_close(
            found[:, :, model.delay:], whole, atol=1e-5, rtol=0)
        assert not found[:, :, :model.delay].any()
        assert memory.frames.tolist() == [32, 32]
        assert memory.nbytes() == model.init_memory(2).nbytes()
    # Without memory the cuts show.
    apart = torch.cat([model(c) for c in x.split(8, 2)], 2)
    assert (apart[:, :, 8] - whole[:, :, 8]).abs().max() > 1e-3


def test_a_stream_without_look_ahead_is_causal_bit_by_bit():
    model = build(stream=True, look_ahead=False, temporal_head=None)
    x = video(16)
    found, _ = watch(model, x, 8)
    for first in (3, 8, 11):
        other = x.clone()
        other[:, :, first:] = video(16 - first, seed=1)
        changed, _ = watch(model, other, 8)
        assert torch.equal(changed[:, :, :first], found[:, :, :first])
        assert not torch.equal(changed[:, :, first], found[:, :, first])
    # With it a clip that is late is causal, too: nothing else can be.
    late = build(stream=True, temporal_head=None)
    found, _ = watch(late, x, 8)
    changed, _ = watch(late, other, 8)
    assert torch.equal(changed[:, :, :11], found[:, :, :11])


@pytest.mark.parametrize('look_ahead', [True, False])
@pytest.mark.parametrize('head', ['transformer', 'average'])
def test_a_stream_does_not_depend_on_its_batch(look_ahead, head):
    model = build(stream=True, look_ahead=look_ahead, temporal_head=head)

    def run(x, resets):
        return watch(model, x, 4, resets,
                     lambda out: out[0][1][..., None])[0].transpose(1, 2)

    x = video(24, 3)
    # Each lane changes its video at another step.
    resets = {i: [i == 2 + lane for lane in range(3)] for i in range(2, 5)}
    together = run(x, resets)
    assert together.isfinite().all()
    for lane in range(3):
        alone = run(x[lane:lane + 1], {i: [r[lane]]
                                       for i, r in resets.items()})
        torch.testing.assert_close(alone[0], together[lane], atol=1e-5, rtol=0)
        # A reset is a new start.
        fresh = run(x[lane:lane + 1, :, 4 * (2 + lane):], {})
        torch.testing.assert_close(
            fresh[0], together[lane, 2 + lane:], atol=1e-5, rtol=0)


def test_only_frames_of_the_stream_count():
    model = build(stream=True, temporal_head='average')
    x = video(8)
    (patch, cls), = model(x, model.init_memory(1))[0]
    # 3 frames are late: of 8 that come out 5 are of the video.
    (whole, _), = model(video(8))
    torch.testing.assert_close(patch[:, :, 3:], whole[:, :, :5])
    frames = build(stream=True, temporal_head='frames')(x)
    torch.testing.assert_close(cls, frames[:, :, :5, 0, 0].mean(2))


def test_who_remembers():
    assert remembers(build(stream=True))
    assert not remembers(build())
    model = build(stream=True, look_ahead=False)
    memory = model.init_memory(2, dtype=torch.bfloat16)
    # Keys and values of one frame, an eighth of their channels, three blocks.
    assert memory.nbytes() == 2 * (3 * 5 * 2 * 4 * 2 + 8)
    with torch.autocast('cpu', torch.bfloat16):
        _, after = model(video(4, 2), memory)
    assert [x.mixed.dtype for x in after.layers] == [torch.bfloat16] * 3


# ----------------------------------------------------------------------- hosts
def step(model, inputs, samples):
    """Losses of one training step."""
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    model.init_weights()
    before = model.backbone.patch_embed['projection'].weight.clone()
    model.train()
    # MMDetection takes proposals out of the samples.
    losses = model(inputs, copy.deepcopy(samples), mode='loss')
    loss, _ = model.parse_losses(losses)
    optim.update_params(loss)
    after = model.backbone.patch_embed['projection'].weight
    assert loss.isfinite() and not torch.equal(before, after)
    model.eval()
    with torch.no_grad():
        return model(inputs, samples, mode='predict')


@pytest.mark.parametrize('kind', ['Recognizer3D', 'OnlineRecognizer3D',
                                  'CollaborativeRecognizer3D'])
@pytest.mark.parametrize('temporal_head', ['transformer', 'frames'])
def test_recognizers_train_and_test(kind, temporal_head):
    cfg = dict(
        type=kind,
        backbone=dict(type='XViT', temporal_head=temporal_head,
                      stream=kind.startswith('Online'), **TINY),
        cls_head=dict(
            type='MViTHead' if temporal_head == 'transformer' else 'I3DHead',
            in_channels=32, num_classes=4, average_clips='prob'))
    num = 1
    if kind.startswith('Collaborative'):
        num = 2
        cfg['neck'] = dict(type='CollaborativeMemory', in_channels=32)
    samples = [
        ActionDataSample(metainfo=dict(
            video_id=f'v{i}', timestamp=0, num_clips=num)).set_gt_label(i)
        for i in range(2)]
    inputs = torch.stack([video(4, num), video(4, num, seed=1)])
    for sample in step(MODELS.build(cfg), inputs, samples):
        assert sample.pred_score.sum().item() == pytest.approx(1)


def test_a_stock_detector_trains_and_tests():
    pytest.importorskip('mmdet')
    model = MODELS.build(
        ConfigDict(
            type='FastRCNN', _scope_='mmdet',
            backbone=dict(type='mmaction.XViT', temporal_head=None, **TINY),
            roi_head=dict(
                type='AVARoIHead',
                bbox_roi_extractor=dict(
                    type='SingleRoIExtractor3D', roi_layer_type='RoIAlign',
                    output_size=2, featmap_stride=8, with_temporal_pool=True),
                bbox_head=dict(type='BBoxHeadAVA', background_class=True,
                               topk=(2, ), in_channels=32, num_classes=4,
                               multilabel=True, dropout_ratio=0.5)),
            data_preprocessor=DETECTOR['data_preprocessor'],
            train_cfg=dict(rcnn=dict(DETECTOR['train_cfg']['rcnn'],
                                     pos_weight=1.)),
            test_cfg=dict(rcnn=None)))
    box = torch.tensor([[0., 0., 12., 12.]])
    sample = ActionDataSample(
        metainfo=dict(img_shape=(16, 16), scale_factor=[1.] * 4),
        proposals=InstanceData(bboxes=box),
        gt_instances=InstanceData(
            bboxes=box, labels=torch.tensor([[0., 1., 0., 0.]])))
    found, = step(model, video(4), [sample])
    assert found.pred_instances.scores.shape == (1, 4)


# --------------------------------------------------------------------- weights
def image_vit(layout: str, side: int = 3) -> dict:
    """Random weights of an image transformer of 8 x 8 patches."""
    torch.manual_seed(1)
    # Ours as timm calls them, theirs in MMPretrain.
    names = {
        'timm': {'patch_embed.projection': 'patch_embed.proj'},
        'mmpretrain': {
            'blocks': 'layers', 'norm1': 'ln1', 'norm2': 'ln2',
            'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}
    }[layout]
    state = {'head.weight': torch.randn(5, 32)}
    for key, value in build(temporal_head=None).state_dict().items():
        if key == 'temp_embed':
            continue
        if key.startswith('norm.') and layout == 'mmpretrain':
            key = key.replace('norm', 'ln1')
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[key] = torch.randn_like(value)
    state['pos_embed'] = torch.randn(1, 1 + side**2, 32)
    if layout == 'mmpretrain':
        state = {f'backbone.{k}': v for k, v in state.items()}
    return state


@pytest.mark.parametrize('layout', ['timm', 'mmpretrain'])
def test_image_weights_are_taken(layout, tmp_path):
    path = str(tmp_path / 'vit.pth')
    source = image_vit(layout)
    torch.save(dict(state_dict=source), path)
    model = XViT(**{**TINY, 'spatial_size': 16},
                 init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    prefix = '' if layout == 'timm' else 'backbone.'
    own = model.state_dict()
    for value in own.keys() - {'temp_embed', 'pos_embed'}:
        if not value.startswith('temporal.'):
            assert any(torch.equal(own[value], x) for x in source.values()
                       if x.shape == own[value].shape), value
    table = source[f'{prefix}pos_embed']
    assert torch.equal(own['pos_embed'][:, 0], table[:, 0])
    # Of 3 x 3 places, 2 x 2 are left.
    places = torch.nn.functional.interpolate(
        table[:, 1:].transpose(1, 2).view(1, 32, 3, 3), (2, 2),
        mode='bicubic', align_corners=False)
    torch.testing.assert_close(own['pos_embed'][:, 1:],
                               places.flatten(2).transpose(1, 2))
    assert not own['temp_embed'].any()
