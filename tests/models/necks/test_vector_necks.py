# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Necks that remember vectors: StreamTransformer and LongShortMemory."""
import pytest
import torch
from helpers.models import SLOWONLY
from helpers.operators import compiles
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmaction_memvit.apis.export import export_steps
from mmaction_memvit.memory.state import tensors as memory_tensors
from mmaction_memvit.models.layers.running_attention import running_attention

CHANNELS = 6
SMALL = dict(in_channels=CHANNELS, embed_dims=16, num_heads=2, per_frame=True,
             seconds=0.5)
LONG = dict(SMALL, type='LongShortMemory', work_len=4, long_len=5,
            num_queries=(3, 2))
NECKS = dict(
    transformer=dict(SMALL, type='StreamTransformer', mem_len=5),
    seconds=dict(SMALL, type='StreamTransformer', mem_len=9, max_seconds=2.,
                 num_layers=3),
    window=dict(LONG, long='window'), box=dict(LONG, long='box'),
    laplace=dict(LONG, long='laplace', decay=0.8))
every_neck = pytest.mark.parametrize('name', NECKS)


def build(name, **changes):
    torch.manual_seed(0)
    neck = MODELS.build({**NECKS[name], **changes})
    neck.init_weights()
    return neck.eval()


def features(batch, length, seed=1):
    """Made-up ones, (B, C, T, 1, 1)."""
    gen = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, length, 1, 1, generator=gen)


def run(neck, x, lengths, elapsed=None, memory=None):
    """A stream in clips of some lengths; ``elapsed`` before each of them."""
    if memory is None:
        memory = neck.init_memory(len(x))
    outs = []
    for i, clip in enumerate(x.split(lengths, 2)):
        wait = None if elapsed is None else torch.full((len(x), ), elapsed[i])
        out, memory = neck(clip, memory, wait)
        outs.append(out)
    return torch.cat(outs, 2), memory


def close(a, b, atol=1e-5):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


@every_neck
@torch.no_grad()
def test_it_does_not_matter_in_which_clips_vectors_come(name):
    neck, x = build(name), features(2, 150)
    at_once, no_memory = neck(x)
    assert at_once.shape == (2, 16, 150, 1, 1) and no_memory == {}
    one_by_one, memory = run(neck, x, [1] * 150)
    close(one_by_one, at_once)
    mixed, other = run(neck, x, [1, 3, 70, 2, 64, 10])
    close(mixed, at_once)
    # And the streams go on alike.
    more = features(2, 3, seed=2)
    wait = torch.tensor([0.5, 2.])
    # One starts anew.
    memory, other = (m.reset(torch.tensor([False, True]))
                     for m in (memory, other))
    later = [neck(more, m, w)[0] for m, w in (
        (memory, wait), (other, wait + 4.5))]
    close(*later)
    close(later[0][1:], neck(more[1:])[0])
    assert (later[0][0] - neck(more[:1])[0]).abs().max() > 1e-3


@every_neck
@torch.no_grad()
def test_seconds_count_and_clocks_do_not(name):
    neck, x = build(name), features(1, 8)
    # Vectors half a second apart, with a break of a second in between.
    clips, _ = run(neck, x, [5, 3], [7., 3.])
    steps, _ = run(neck, x, [1] * 8, [7., .5, .5, .5, .5, 1., .5, .5])
    close(clips, steps)
    close(run(neck, x, [5, 3], [0., 2.5])[0], neck(x)[0])
    at_once = neck(x)[0]
    close(clips[:, :, :5], at_once[:, :, :5])
    assert (clips - at_once)[:, :, 5:].abs().amax((0, 1, 3, 4)).min() > 1e-4


@every_neck
@torch.no_grad()
def test_the_future_changes_no_bit(name):
    neck, x = build(name), features(1, 20)
    other = x.clone()
    other[:, :, 12:] = features(1, 8, seed=3)
    (a, _), (b, _) = (run(neck, y, [20]) for y in (x, other))
    assert torch.equal(a[:, :, :12], b[:, :, :12])
    assert (a - b)[:, :, 12:].abs().amax((0, 1, 3, 4)).min() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize('name,reach', [
    ('transformer', 10), ('seconds', 12), ('box', 7), ('window', 11),
    ('laplace', 19)])
def test_how_far_back_it_sees(name, reach):
    neck, x = build(name), features(1, 20)
    last = []
    for place in range(20):
        other = x.clone()
        other[:, :, place] += 1
        last.append((neck(other)[0] - neck(x)[0])[:, :, -1].abs().max() > 1e-6)
    assert 19 - last.index(True) == reach
    assert all(last[-1 - reach:])
    # What it says of itself; an endless past does not know the stream.
    assert neck.temporal_support == (
        reach if name != 'laplace' else float('inf'))


@every_neck
@torch.no_grad()
def test_a_lane_does_not_know_its_neighbours(name):
    neck, x = build(name), features(3, 30)
    together, _ = run(neck, x, [3] * 10)
    for lane in range(3):
        alone, _ = run(neck, x[lane:lane + 1], [3] * 10)
        close(together[lane:lane + 1], alone)


@every_neck
def test_gradients_reach_through_memory(name):
    neck, x = build(name), features(1, 6).requires_grad_()
    out, _ = run(neck, x, [1] * 6)
    out[:, :, -1].square().sum().backward()
    assert x.grad.abs().amax((0, 1, 3, 4)).min() > 0
    step_by_step = {k: v.grad.clone() for k, v in neck.named_parameters()}
    neck.zero_grad()
    neck(x)[0][:, :, -1].square().sum().backward()
    for key, param in neck.named_parameters():
        close(step_by_step[key], param.grad, atol=1e-4)
        # A bias of keys has no effect on attention.
        assert 'kv.bias' in key or param.grad.abs().max() > 0, key


@every_neck
@torch.no_grad()
def test_steps_stay_what_they_are(name):
    """Streams have no end: neither shapes nor numbers grow."""
    neck, x = build(name), features(1, 1)
    memory = neck.init_memory(1)
    shapes = [y.shape for y in memory.map(lambda y: y).state_dict().values()]
    size = memory.nbytes()
    for _ in range(100):
        out, memory = neck(x, memory, torch.tensor([86400.25]))
    assert memory.nbytes() == size
    assert [y.shape for y in memory.state_dict().values()] == shapes
    assert memory.finite().all()
    # The same vector again and again, at the same pace.
    close(out, neck(x, memory, torch.tensor([86400.25]))[0])


@torch.no_grad()
def test_without_memory_a_clip_sees_itself_alone():
    neck = build('transformer', mem_len=0)
    assert neck.init_memory(2) is None
    x = features(2, 100)
    out, _ = neck(x)
    close(out[:, :, :7], neck(x[:, :, :7])[0])
    assert (out[:, :, 99:] - neck(x[:, :, 99:])[0]).abs().max() > 1e-3


def test_fading_attention_is_what_it_says():
    torch.manual_seed(0)
    q, k = torch.randn(1, 2, 3, 4), 30 * torch.randn(2, 2, 7, 4)
    v, times = torch.randn(2, 2, 7, 4), torch.rand(2, 7).cumsum(1)
    sums = (torch.zeros(2, 2, 3, 4), torch.zeros(2, 2, 3),
            torch.zeros(2, 2, 3))
    outs, before = [], torch.zeros(2)
    for part in (slice(0, 1), slice(1, 5), slice(5, 7)):
        t = times[:, part]
        out, sums = running_attention(
            q, k[:, :, part], v[:, :, part], t[:, :, None] - t[:, None],
            t - before[:, None], sums, 0.7)
        outs.append(out)
        before = t[:, -1]
    ages = times[:, :, None] - times[:, None]
    scores = (q @ k.transpose(2, 3) / 2)[:, :, :, None] - 0.7 * ages[
        :, None, None]
    scores = scores.masked_fill(ages[:, None, None] < 0, float('-inf'))
    expected = torch.einsum('bhqij,bhjc->biqhc', scores.softmax(-1), v)
    close(torch.cat(outs, 1), expected.flatten(3))


def test_half_precision():
    for name in NECKS:
        neck = build(name).train()
        with torch.autocast('cpu', torch.bfloat16):
            memory = neck.init_memory(2)
            shapes = [x.dtype for x in memory.state_dict().values()]
            for clip in features(2, 6).split(2, 2):
                out, memory = neck(clip, memory)
        assert shapes == [x.dtype for x in memory.state_dict().values()]
        assert torch.bfloat16 in shapes
        out.float().sum().backward()
        full = build(name)(features(2, 6))[0][:, :, -2:]
        assert torch.isfinite(out).all() and full.shape == out.shape


@compiles
@pytest.mark.parametrize('name', ['transformer', 'laplace'])
def test_a_step_compiles_to_one_graph(name):
    neck = build(name)
    step = torch.compile(neck, backend='eager', fullgraph=True, dynamic=False)
    x, memory, other = features(2, 8), neck.init_memory(2), None
    for clip in x.split(2, 2):
        expected, other = neck(clip, memory, torch.tensor([1., 3.]))
        out, memory = step(clip, memory, torch.tensor([1., 3.]))
        close(out, expected)
    assert memory.nbytes() == other.nbytes()


@pytest.mark.parametrize('changes', [
    dict(mem_len=-1), dict(num_heads=3), dict(seconds=0.), dict(max_seconds=0),
    dict(num_layers=0), dict(num_heads=0), dict(mlp_ratio=0),
    dict(seconds=None), dict(dropout=2), dict(max_seconds='2')])
def test_wrong_options(changes):
    value, = changes.values()
    with pytest.raises(ValueError, match=str(value)):
        build('transformer', **changes)
    with pytest.raises(ValueError, match='1.5'):
        build('laplace', decay=1.5)
    for num in (4, (4, ), (0, 4)):
        with pytest.raises(ValueError, match='num_queries='):
            build('laplace', num_queries=num)


def recognizer(name):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='OnlineRecognizer3D', backbone=SLOWONLY,
            neck=dict(NECKS[name], in_channels=32),
            cls_head=dict(type='I3DHead', in_channels=16, num_classes=3,
                          dropout_ratio=0., average_clips='prob'),
            data_preprocessor=dict(
                type='ActionDataPreprocessor', mean=[127.] * 3,
                std=[64.] * 3, format_shape='NCTHW')))
    model.init_weights()
    return model


@pytest.mark.skipif(not hasattr(torch.compiler, 'is_exporting'),
                    reason='torch tells of an export since 2.7')
@pytest.mark.parametrize('name', ['transformer', 'laplace'])
@torch.no_grad()
def test_a_step_is_exported(name):
    model = recognizer(name).eval()
    step = export_steps(model, (4, 32, 32))['step']
    module, memory = step.program.module(), model.init_memory(3)
    carried = memory_tensors(memory)
    for i in range(3):
        clip = torch.randint(256, (3, 3, 4, 32, 32)).byte()
        feats, memory = model.step((clip - 127.) / 64., memory)
        scores, *carried = module(clip, torch.tensor([i == 0] * 3), *carried)
        close(scores, model.cls_head(feats).softmax(-1))


@every_neck
def test_windows_of_clips_train(name):
    model = recognizer(name)
    clips = torch.randn(6, 1, 3, 4, 16, 16, requires_grad=True)
    samples = [
        ActionDataSample(metainfo=dict(
            video_id=video, timestamp=place, start_seconds=2. * place)
        ).set_gt_label(-1 if place < 2 else 1)
        for place in range(3) for video in 'ab']
    losses = model.train()(clips, samples, mode='loss')
    losses['loss_cls'].backward()
    # What is labelled is the last clip of both.
    assert clips.grad.abs().amax((1, 2, 3, 4, 5)).min() > 0
