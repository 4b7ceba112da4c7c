# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch
from mmaction.registry import MODELS

from mmaction_memvit.models import MeMViT

SMALL = dict(arch=dict(embed_dims=16, num_layers=4, num_heads=1,
                       downscale_indices=[1, 3]),
             spatial_size=32, temporal_size=8,
             mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)),
             adaptive_kv_stride=(1, 2, 2))


def build(seed: int = 0, **kwargs) -> MeMViT:
    torch.manual_seed(seed)
    model = MeMViT(**{**SMALL, **kwargs})
    for name, param in model.named_parameters():
        # Strong weights: what is remembered must show in the outputs.
        noise = torch.randn_like(param)
        param.data = (1 + 0.2 * noise if 'norm' in name and
                      name.endswith('weight') else 0.3 * noise)
    return model.eval()


def clips(steps: int, batch: int = 1, size=(32, 32), seed: int = 0):
    gen = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 3, 8, *size, generator=gen)
            for _ in range(steps)]


def run(model, inputs, resets=None):
    memory = model.init_memory(inputs[0].shape[0], inputs[0].shape[-2:])
    outs = []
    for step, x in enumerate(inputs):
        if resets and step in resets:
            memory = memory.reset(torch.tensor(resets[step]))
        feats, memory = model(x, memory)
        memory = memory.detach()
        outs.append(feats[-1][1].detach())
    return outs, memory


def test_features_are_those_of_an_mmaction2_backbone():
    model = MODELS.build(dict(type='MeMViT', **SMALL))
    model.init_weights()
    (patch, cls), = model(clips(1)[0])
    assert patch.shape == (1, 64, 4, 2, 2) and cls.shape == (1, 64)
    scales = build(out_scales=[0, 1, 2])(clips(1)[0])
    assert [x[0].shape[1] for x in scales] == [16, 32, 64]
    patch, = build(output_cls_token=False)(clips(1)[0])
    assert patch.shape == (1, 64, 4, 2, 2)
    # The first clip of a stream sees an empty memory, which changes nothing.
    model = build()
    x = clips(1)[0]
    feats, _ = model(x, model.init_memory(1))
    torch.testing.assert_close(feats[-1][1], model(x)[-1][1])


@pytest.mark.parametrize('size', [(32, 53), (45, 33), (64, 32), (64, 64)])
def test_frames_of_any_size(size):
    model = build()
    inputs = clips(3, size=size)
    memory = model.init_memory(1, size)
    shapes = [x.k[0].shape for x in memory.layers]
    for x in inputs:
        (patch, _), memory = model(x, memory)[0][0], model(x, memory)[1]
    assert patch.shape[2:] == (4, -(-size[0] // 16), -(-size[1] // 16))
    assert [x.k[0].shape for x in memory.layers] == shapes
    # init_memory's default size gives way as long as nothing is remembered.
    torch.testing.assert_close(
        model(inputs[0], model.init_memory(1))[0][-1][0],
        model(inputs[0])[-1][0])
    # What is remembered counts, and shows.
    assert (patch - model(inputs[-1])[-1][0]).abs().max() > 1e-4


@pytest.mark.parametrize('mem_len,mem_stride', [(1, 1), (2, 1), (2, 2),
                                                (4, 1)])
def test_temporal_support_is_m_times_l_clips(mem_len, mem_stride):
    model = build(mem_len=mem_len, mem_stride=mem_stride)
    layers = len(model.mem_layers)
    steps = mem_len * mem_stride * layers + 3
    # float64: deep and old influence is faint.
    model.double()
    inputs = [x.double() for x in clips(steps)]
    base, _ = run(model, inputs)
    other = [x.clone() for x in inputs]
    other[0] += 3 * torch.randn(other[0].shape,
                                generator=torch.Generator().manual_seed(5))
    changed, _ = run(model, other)
    lags = [lag for lag in range(1, steps)
            if (changed[lag] - base[lag]).abs().max() > 0]
    assert lags == list(
        range(mem_stride, mem_len * mem_stride * layers + 1, mem_stride))


@pytest.mark.parametrize('kwargs', [
    dict(), dict(mem_stride=2), dict(mem_compress=None), dict(causal=True),
    dict(mem_layers='all', mem_stride=3), dict(mem_layers=[1, 3])
])
def test_fused_attention_equals_the_explicit_form(kwargs, monkeypatch):
    model = build(**kwargs).double()
    inputs = [x.double() for x in clips(6, batch=2)]
    resets = {3: [True, False]}
    fused, _ = run(model, inputs, resets)
    monkeypatch.setattr(torch.jit, 'is_tracing', lambda: True)
    explicit, _ = run(model, inputs, resets)
    for a, b in zip(fused, explicit):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize('kwargs', [dict(), dict(mem_stride=2)])
def test_a_stream_does_not_depend_on_its_batch(kwargs):
    model = build(**kwargs)
    lanes = clips(7, batch=5)
    # Every lane changes its video at another step.
    resets = {s: [(s == 2 + lane) for lane in range(5)] for s in range(2, 7)}
    together, _ = run(model, lanes, resets)
    for lane in range(5):
        alone, _ = run(model, [x[lane:lane + 1] for x in lanes],
                       {s: [r[lane]] for s, r in resets.items()})
        pair, _ = run(model, [x[[lane, (lane + 1) % 5]] for x in lanes], {
            s: [r[lane], r[(lane + 1) % 5]] for s, r in resets.items()})
        for a, b, c in zip(alone, together, pair):
            torch.testing.assert_close(a[0], b[lane], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(a[0], c[0], atol=1e-5, rtol=1e-5)


def test_reset_is_a_new_start():
    model = build()
    inputs = clips(6)
    after_reset, _ = run(model, inputs, {3: [True]})
    fresh, _ = run(model, inputs[3:])
    for a, b in zip(after_reset[3:], fresh):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    remembered, _ = run(model, inputs)
    assert (remembered[3] - fresh[0]).abs().max() > 1e-3


def test_zero_mask_attends_to_zeros():
    exclude, zero = build(), build(mem_mask='zero')
    inputs, resets = clips(5), {3: [True]}
    a, _ = run(exclude, inputs, resets)
    b, _ = run(zero, inputs, resets)
    # Equal until the video changes, different while zeros are attended.
    for step in (0, 1, 2):
        torch.testing.assert_close(a[step], b[step])
    assert (a[3] - b[3]).abs().max() > 1e-4
    assert torch.isfinite(torch.cat(b)).all()


def test_portrait_mirrors_landscape():
    model = build()
    mirrored = copy.deepcopy(model)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for key in list(state):
        if key.endswith('_h'):
            other = key[:-1] + 'w'
            state[key], state[other] = state[other], state[key]
        elif state[key].dim() == 5:
            state[key] = state[key].transpose(3, 4).contiguous()
    mirrored.load_state_dict(state)
    inputs = clips(4, size=(32, 64))
    wide, _ = run(model, inputs)
    tall, _ = run(mirrored, [x.transpose(3, 4) for x in inputs])
    for a, b in zip(wide, tall):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_causal_tokens_do_not_see_the_future():
    model = build(causal=True)
    x = clips(3)
    memory = model.init_memory(1)
    for clip in x[:2]:
        _, memory = model(clip, memory)
    base = model(x[2], memory)[0][-1][0]
    for token in range(3):
        later = x[2].clone()
        # Token i covers frames 2 i and 2 i + 1.
        later[:, :, 2 * token + 2:] += 1
        out = model(later, memory)[0][-1][0]
        assert torch.equal(out[:, :, :token + 1], base[:, :, :token + 1])
        assert not torch.equal(out[:, :, token + 1:], base[:, :, token + 1:])
    # Not so without causality.
    plain = build()
    a, b = plain(x[2])[-1][0], plain(later)[-1][0]
    assert not torch.equal(a[:, :, :1], b[:, :, :1])


def test_memory_keeps_its_shapes_and_is_not_mutated():
    model = build(mem_stride=2)
    memory = model.init_memory(2)
    shapes = [t.shape for layer in memory.layers for part in layer
              for t in part]
    for x in clips(6, batch=2):
        before = [t.clone() for layer in memory.layers for part in layer
                  for t in part]
        _, after = model(x, memory)
        now = [t for layer in memory.layers for part in layer for t in part]
        assert all(torch.equal(a, b) for a, b in zip(before, now))
        memory = after
        assert shapes == [t.shape for layer in memory.layers for part in layer
                          for t in part]
    assert memory.valid.all()


@pytest.mark.parametrize('kwargs,match', [
    (dict(adaptive_kv_stride=(2, 2, 2)), 'stride must be 1'),
    (dict(mem_len=-1), 'mem_len.*-1'),
    (dict(mem_stride=0), 'mem_stride.*0'),
    (dict(mem_layers=[0, 4]), r'mem_layers.*\[4\].*3'),
    (dict(mem_layers='odd'), "mem_layers is 'odd'"),
    (dict(mem_mask='drop'), 'mem_mask'),
    (dict(mem_compress_at='later'), 'mem_compress_at'),
    (dict(arch='huge'), "arch.*huge.*'base'"),
    (dict(arch=dict(embed_dims=8)), 'lacks'),
    (dict(spatial_size=12), 'height 12.*16'),
    (dict(temporal_size=7), 'frames 7.*2'),
    (dict(out_scales=3), 'out_scales'),
    (dict(causal=True, patch_cfg=dict(
        kernel_size=(3, 7, 7), stride=(1, 4, 4), padding=(1, 3, 3))),
     'padding'),
    (dict(dim_mul_in_attention=False), 'dim_mul_in_attention'),
])
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        MeMViT(**{**SMALL, **kwargs})


def test_a_removed_option_is_taken_with_its_only_value():
    MeMViT(**SMALL, dim_mul_in_attention=True)
    with pytest.raises(TypeError, match='mem_length'):
        MeMViT(**SMALL, mem_length=1)


def test_bad_inputs():
    model = build()
    with pytest.raises(ValueError, match='width 12.*16'):
        model(torch.zeros(1, 3, 8, 32, 12))
    with pytest.raises(ValueError, match='temporal_size.*8'):
        model(torch.zeros(1, 3, 16, 32, 32))
    memory = model.init_memory(2)
    with pytest.raises(ValueError, match='2.*1.*select'):
        model(clips(1)[0], memory)
    assert build(mem_len=0).init_memory(1) is None
    with pytest.raises(ValueError, match='without memory'):
        build(mem_len=0)(clips(1, batch=2)[0], memory)


def test_frames_that_turn_within_a_stream_are_an_error():
    """As many tokens, in another layout."""
    model = build()
    memory = model.init_memory(1, (32, 64))
    _, memory = model(torch.randn(1, 3, 8, 32, 64), memory)
    with pytest.raises(ValueError, match='32x64.*64x32'):
        model(torch.randn(1, 3, 8, 64, 32), memory)
    # Where nothing is remembered yet, the size may be another one.
    model(torch.randn(1, 3, 8, 64, 32), model.init_memory(1, (32, 64)))
    other = model.init_memory(1, (64, 32))
    with pytest.raises(ValueError, match='64'):
        type(memory).cat([memory, other])
    assert memory.select([0]).reset(torch.tensor([False])).frame_size == (
        32, 64)


@pytest.mark.parametrize('at', ['first_use', 'next'])
@pytest.mark.parametrize('stride', [1, 2])
def test_every_parameter_that_wants_a_gradient_has_one(at, stride):
    """DistributedDataParallel waits for it."""
    model = build(mem_stride=stride, mem_compress_at=at).train()
    memory = model.init_memory(1)
    for x in clips(4):
        feats, memory = model(x, memory.detach())
    # Squares: the sum of what a norm gives hardly changes.
    sum(f.square().sum() for f in feats[-1]).backward()
    still = [name for name, p in model.named_parameters()
             if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not still
    # The compression that the reference leaves untrained.
    frozen = [name for name, p in model.named_parameters()
              if not p.requires_grad]
    assert bool(frozen) == (at == 'next' and stride == 2)
    # As do models that are not given a memory.
    model.zero_grad()
    sum(f.sum() for f in model(clips(1)[0])[-1]).backward()
    assert not [name for name, p in model.named_parameters()
                if p.requires_grad and p.grad is None]


def test_when_entries_are_compressed_shows_in_no_score():
    first, _ = run(build(mem_stride=2), clips(8))
    later, _ = run(build(mem_stride=2, mem_compress_at='next'), clips(8))
    for a, b in zip(first, later):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('compress', [None, SMALL['mem_compress']])
def test_a_memory_made_outside_autocast_trains_like_one_made_within(compress):
    grads = []
    for within in (True, False):
        model = build(mem_compress=compress).train()
        with torch.autocast('cpu', torch.bfloat16, enabled=within):
            memory = model.init_memory(1)
        for x in clips(3):
            with torch.autocast('cpu', torch.bfloat16):
                feats, memory = model(x, memory.detach())
            # As MMEngine does it, outside.
            feats[-1][1].float().square().sum().backward()
        grads.append(torch.cat([p.grad.flatten()
                                for p in model.parameters()]))
    assert torch.equal(*grads)
