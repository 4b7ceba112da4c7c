# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""StreamTransformerRoIHead: boxes that see those of clips before, in time."""
import copy

import pytest
import torch
from helpers.boxes import (
    STREAM_ROI_HEAD,
    build_detector,
    make_boxes,
    make_clip,
)

from mmaction_memvit.models.layers.token_attention import rotate, turn

pytest.importorskip('mmdet')

# Boxes of each clip, and seconds since the clip before.
COUNTS = (2, 0, 3, 1, 6, 2, 1)
ELAPSED = (0., 1., 1., 2.5, 0.5, 1., 1.)


def detector(num_slots=4, **transformer):
    """Without a memory of the backbone; ``transformer`` are its options."""
    roi_head = copy.deepcopy(STREAM_ROI_HEAD)
    roi_head['transformer'].update(transformer)
    roi_head['num_slots'] = num_slots
    return build_detector(
        backbone=dict(mem_len=0), roi_head=roi_head).eval()


def head(**kwargs):
    return detector(**kwargs).roi_head


def vectors(lane=0, counts=COUNTS):
    """Made-up boxes of a stream, (N, C) a clip."""
    gen = torch.Generator().manual_seed(lane)
    return [torch.randn(n, 32, generator=gen) for n in counts]


def run(module, *streams, elapsed=ELAPSED, resets=None):
    """What becomes of streams in one batch: for each lane its clips'."""
    memory = module.init_memory(len(streams))
    found = [[] for _ in streams]
    for t, clips in enumerate(zip(*streams)):
        if resets is not None:
            memory = memory.reset(torch.tensor(resets[t]))
        counts = [len(x) for x in clips]
        wait = None if elapsed is None else torch.full(
            (len(clips), ), elapsed[t])
        out, memory = module.relate(torch.cat(clips), counts, memory, wait)
        for lane, own in zip(found, out.split(counts)):
            lane.append(own)
    return found


def close(a, b, atol=1e-5):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


def at_once(module, clips, elapsed):
    """A whole stream in one pass, by the definition."""
    model = module.transformer
    x = model.embed(torch.cat(clips))
    number = torch.arange(len(clips)).repeat_interleave(
        torch.tensor([len(c) for c in clips]))
    times = torch.tensor(elapsed).cumsum(0)[number]
    clips_ago = number[:, None] - number
    seen = (clips_ago >= 0) & (clips_ago <= model.mem_len)
    if model.max_seconds is not None:
        seen &= times[:, None] - times <= model.max_seconds
    width = x.shape[1] // model.num_heads
    for block in model.blocks:
        normed = block.norm(x)
        heads = [y.view(len(x), -1, width).transpose(0, 1) for y in (
            block.attn.q(normed), *block.attn.kv(normed).chunk(2, -1))]
        by = turn(times[None] / model.seconds, width)
        q, k = (rotate(y[None], by)[0] for y in heads[:2])
        scores = (q @ k.transpose(1, 2) / width**0.5).masked_fill(
            ~seen, float('-inf'))
        out = scores.softmax(-1) @ heads[2]
        x = x + block.attn.proj(out.transpose(0, 1).flatten(1))
        x = block.think(x)
    return model.norm(x)


@torch.no_grad()
@pytest.mark.parametrize('options', [
    dict(), dict(mem_len=4, max_seconds=3.), dict(num_layers=1, seconds=0.5),
    dict(num_slots=1)])
def test_step_by_step_is_the_whole_stream_at_once(options):
    module = head(**options)
    found, = run(module, vectors())
    close(torch.cat(found), at_once(module, vectors(), ELAPSED))
    # Time counts.
    even, = run(module, vectors(), elapsed=[0.] + [1.] * 6)
    assert (found[4] - even[4]).abs().max() > 1e-3
    # Nobody knows the time: it is the model's.
    unknown, = run(module, vectors(), elapsed=None)
    even, = run(module, vectors(), elapsed=[module.transformer.seconds] * 7)
    close(unknown, even)


@torch.no_grad()
def test_neither_neighbours_nor_slots_matter():
    streams = [vectors(), vectors(1, (1, 9, 0, 0, 2, 3, 5)),
               vectors(2, (0, 0, 0, 0, 0, 1, 0))]
    module = head()
    resets = [[t == 4, False, t == 2] for t in range(7)]
    together = run(module, *streams, resets=resets)
    for lane, stream in enumerate(streams):
        alone, = run(module, stream, resets=[[x[lane]] for x in resets])
        close(together[lane], alone)
    for num_slots in (1, 100):
        other, = run(head(num_slots=num_slots), streams[0],
                     resets=[[x[0]] for x in resets])
        close(together[0], other)
    # A lane that was forgotten starts anew, whatever it held.
    anew, = run(module, streams[0][4:], elapsed=ELAPSED[4:])
    close(together[0][4:], anew)
    kept, = run(module, streams[0])
    assert (kept[4] - anew[0]).abs().max() > 1e-3
    # A clip's boxes have no order.
    mixed, = run(module, [x.flip(0) for x in streams[0]])
    close([x.flip(0) for x in mixed], kept)


@torch.no_grad()
@pytest.mark.parametrize('options,reach', [
    (dict(), 4), (dict(num_layers=1, mem_len=3), 3),
    (dict(num_layers=1, mem_len=5, max_seconds=2.), 2)])
def test_how_far_back_it_sees(options, reach):
    module, clips = head(**options), vectors(counts=[2] * 7)
    base, = run(module, clips, elapsed=None)
    for place in range(7):
        other = list(clips)
        other[place] = clips[place] + 1
        found, = run(module, other, elapsed=None)
        changed = [(a - b).abs().max() > 1e-6 for a, b in zip(found, base)]
        assert changed == [0 <= t - place <= reach for t in range(7)]
    assert module.temporal_support == reach


def test_gradients_reach_through_memory():
    module = head(mem_len=3)
    clips = [x.requires_grad_() for x in vectors(counts=(2, 1, 0, 2))]
    idle = [x.requires_grad_() for x in vectors(1, (0, 0, 0, 1))]
    found, _ = run(module, clips, idle, elapsed=None)
    found[-1].square().sum().backward()
    assert all(x.grad.abs().sum(1).gt(0).all() for x in clips if len(x))
    assert not idle[-1].grad.any()
    for name, param in module.transformer.named_parameters():
        # A bias of keys has no effect on attention.
        assert param.grad.isfinite().all() and (
            'kv.bias' in name or param.grad.any()), name


@torch.no_grad()
def test_slots_of_fixed_number_and_memory_of_fixed_shapes():
    module, gen = head(num_slots=4), torch.Generator().manual_seed(0)
    memory, other = module.init_memory(2), module.init_memory(2)
    shapes = [x.shape for x in memory.state_dict().values() if x is not None]
    for counts in ((2, 0), (0, 0), (4, 1), (0, 3)):
        feats = torch.randn(2, 32, 2, 4, 4, generator=gen)
        boxes = [make_boxes(n, gen) for n in counts]
        expected, memory = module.score_boxes(feats, boxes, memory)
        slots = torch.arange(4) < torch.tensor(counts)[:, None]
        placed = torch.zeros(2, 4, 4)
        placed[slots] = torch.cat(boxes)
        logits, other = module.score_slots(feats, placed, slots, other)
        close(logits[slots], expected)
        assert logits.isfinite().all() and memory.finite().all()
    for found in (memory, other):
        assert shapes == [x.shape for x in found.state_dict().values()
                          if x is not None]


def test_clips_without_a_box_train():
    model = detector().train()
    losses = model(*batch([('a', 0), ('b', 3)], num_boxes=0), mode='loss')
    model.parse_losses(losses)[0].backward()
    for name, param in model.named_parameters():
        assert param.grad is not None and not param.grad.any(), name


def batch(clips, seconds=1., **kwargs):
    inputs, samples = zip(*(make_clip(*clip, **kwargs) for clip in clips))
    for sample, (_, position) in zip(samples, clips):
        sample.set_metainfo(dict(start_seconds=position * seconds))
    return torch.stack(inputs), list(samples)


@torch.no_grad()
def watch(model, steps, **kwargs):
    """Scores of the last clip."""
    model.banks['predict'].clear()
    for clips in steps:
        found = model(*batch(clips, **kwargs), mode='predict')
    return found[-1].pred_instances.scores


def test_a_detector_remembers_boxes_and_their_time():
    model = detector()
    steps = [[('a', i)] for i in range(4)]
    last = watch(model, steps)
    assert model.with_memory and model.clips_back() == 4
    together = [[('b', i), ('a', i)] for i in range(4)]
    close(watch(model, together), last)
    for other in (watch(model, steps[-1:]), watch(model, steps, seconds=2.)):
        assert (other - last).abs().max() > 1e-4
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low = watch(model, steps)
    # The head is not of low precision, the backbone is.
    assert low.dtype == torch.float32
    close(low, last, atol=0.1)
    assert (low - last).abs().max() > 0


def test_without_memory_boxes_see_their_own_clip():
    model = detector(mem_len=0)
    assert not model.with_memory
    steps = [[('a', i)] for i in range(2)]
    close(watch(model, steps), watch(model, steps[-1:]))
    both, = run_alone(model.roi_head, vectors()[0])
    one, = run_alone(model.roi_head, vectors()[0][:1])
    assert (both[:1] - one).abs().max() > 1e-3


def run_alone(module, boxes):
    return module.relate(boxes, [len(boxes)], None)[:1]


@pytest.mark.parametrize('options', [
    dict(mem_len=-1), dict(num_slots=0), dict(max_seconds=0),
    dict(num_heads=3)])
def test_wrong_options(options):
    value, = options.values()
    with pytest.raises(ValueError, match=str(value)):
        head(**options)
