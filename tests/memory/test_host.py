# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmaction.structures import ActionDataSample
from torch import Tensor, nn

from mmaction_memvit.datasets.samplers.stream_plan import (
    index_streams,
    plan_train_epoch,
)
from mmaction_memvit.memory import (
    ClipIdentity,
    MemoryHost,
    as_memory,
    clip_identities,
    remembers,
    run_part,
)
from mmaction_memvit.memory.host import count_steps


@as_memory
class Total(NamedTuple):
    value: Tensor


class Adder(nn.Module):
    """Remembers value = weight * value + mean of the clip."""

    def __init__(self, on: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.))
        self.on = on

    def init_memory(self, batch_size, input_size=None, dtype=None,
                    device=None):
        if not self.on:
            return None
        return Total(torch.zeros(batch_size, dtype=dtype, device=device))

    def forward(self, x, memory=None, elapsed=None):
        x = x if x.dim() == 1 else x.flatten(1).mean(1)
        if memory is None:
            return x
        self.elapsed = None if elapsed is None else elapsed.tolist()
        value = self.weight * memory.value + x
        return value, Total(value)


class Host(MemoryHost, nn.Module):

    def __init__(self, *on: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        self.parts = nn.ModuleList(Adder(x) for x in on)

    def memory_parts(self):
        return list(self.parts)

    def step(self, clips, memory=None, elapsed=None):
        after = []
        for part, own in zip(self.parts, memory or [None] * len(self.parts)):
            clips, own = run_part(part, clips, own, elapsed)
            after.append(own)
        return clips, None if memory is None else tuple(after)


def clip(*values: float, size: int = 4) -> Tensor:
    return torch.tensor(values)[:, None, None, None, None].expand(
        -1, 3, 1, size, size)


def at(*clips: tuple) -> list:
    return [ClipIdentity(*x) for x in clips]


def only(parts: list) -> Tensor:
    (_, out), = parts
    return out


def test_who_remembers():
    assert remembers(Adder()) and not remembers(Adder(False))
    assert not remembers(nn.Identity()) and not remembers(None)
    assert Host(False, True).with_memory
    assert not Host(False).with_memory


def test_how_far_back_all_parts_reach():
    model = Host(True, True, False)
    assert model.clips_back() == float('inf')
    first, second, _ = model.parts
    first.temporal_support, second.temporal_support = 4, 6
    assert model.clips_back() == 10
    # It counts vectors, of which a clip gives three.
    second.per_frame = True
    assert model.clips_back(places=3) == 6
    assert Host(False).clips_back() == 0


def test_parts_remember_side_by_side():
    model = Host(True, False, True)
    # The first part gives 1, 4, 13; the last adds these up, times 3.
    for position, expected in enumerate((1, 3 + 4, 21 + 13)):
        step, = model.run([(clip(1.), at(('a', position)))], model.bank(True))
        assert only(step).item() == expected
    assert len(model.banks['predict']) == 1 and not len(model.banks['train'])


@pytest.mark.parametrize('most', [1, 2, 3, None])
def test_parts_of_a_batch_do_not_know_each_other(most):
    """Neither clips of one video nor many streams hang on the division."""
    model = Host(True, max_streams=2)
    bank = model.bank(True)
    lanes = [('a', 0), ('a', 1), ('b', 0), ('c', 0), ('d', 0)]
    model.run([(clip(1., 2., 3., 4., 5.), at(*lanes))], bank, most)
    parts, = model.run([(clip(0., 0., 0., 0.),
                         at(('a', 2), ('b', 1), ('c', 1), ('d', 1)))], bank,
                       most)
    assert torch.cat([out for _, out in parts]).tolist() == [6, 9, 12, 15]
    assert bank.num_continued == 4


def test_a_window_is_one_graph_that_ends_with_it():
    model = Host(True)
    bank = model.bank(False)
    weight = model.parts[0].weight
    # Lane 1 changes its video at the second step.
    first = [(clip(1., 2.), at(('a', 0), ('b', 4))),
             (clip(1., 5.), at(('a', 1), ('c', 0))),
             (clip(1., 1.), at(('a', 2), ('c', 1)))]
    last = only(model.run(first, bank)[-1])
    assert last.tolist() == [13, 16]
    for lane, slope in ((0, 1 + 2 * 3), (1, 5)):
        grad, = torch.autograd.grad(last[lane], weight, retain_graph=True)
        assert grad == slope
    # The next window goes on from there, without the graph.
    after, = model.run([(clip(1., 1.), at(('a', 3), ('c', 2)))], bank)
    assert only(after).tolist() == [40, 49]
    assert torch.autograd.grad(only(after)[0], weight)[0] == 13
    # One clip at a time gives the same, with a graph of one clip.
    single = Host(True)
    for step in first:
        out = only(single.run([step], single.bank(False))[0])
    torch.testing.assert_close(out, last)
    assert torch.autograd.grad(out[0], single.parts[0].weight)[0] == 4


def test_a_window_that_fails_leaves_no_graph():
    model = Host(True)
    bank = model.bank(False)
    with pytest.raises(TypeError):
        model.run([(clip(1.), at(('a', 0))), (None, None)], bank)
    memory = bank.read(at(('a', 1)), model.init_memory)
    assert memory[0].value.tolist() == [1]
    assert not memory[0].value.requires_grad


def test_a_lane_does_not_depend_on_sizes_nor_on_how_many_pass_at_a_time():
    for most in (None, 1, 2):
        model = Host(True)
        for position, expected in enumerate(([1, 2, 3], [4, 8, 12])):
            clips = [clip(1.)[0], clip(2., size=6)[0], clip(3.)[0]]
            parts, = model.run([(clips, at(*((n, position) for n in 'abc')))],
                               model.bank(True), most)
            found = [None] * 3
            for lanes, out in parts:
                for lane, value in zip(lanes, out.tolist()):
                    found[lane] = value
            assert found == expected
        assert len(parts) == (3 if most == 1 else 2)
        assert model.bank(True).num_continued == 3


def test_the_model_is_told_the_seconds():
    model = Host(True)
    for position, told in enumerate(([0, 0], [2.5, 0], [2.5, 2])):
        who = [ClipIdentity('a', position, seconds=2.5 * position),
               ClipIdentity('b', max(position - 1, 0), seconds=2. * position)]
        model.run([(clip(1., 1.), who)], model.bank(True))
        assert model.parts[0].elapsed == told
    model.run([(clip(1.), at(('a', 3)))], model.bank(True))
    assert model.parts[0].elapsed is None


def test_identities_come_from_the_samples():

    def read(**metainfo):
        return clip_identities([ActionDataSample(metainfo=metainfo)], 2)

    assert read(video_id='a', timestamp=4) == at(('a', 4, 0), ('a', 4, 1))
    assert read(video_id='a', timestamp=4, start_seconds=8.)[1].seconds == 8
    with pytest.raises(KeyError, match='video_id'):
        read(timestamp=4)


# Windows of K clips a lane, as the sampler gives them.


def outputs(model, clips, at_once: int) -> torch.Tensor:
    """What clips give, so many in a batch; their values tell them apart."""
    found = []
    for i in range(0, len(clips), at_once):
        part = clips[i:i + at_once]
        values = clip(*(ord(v) + 0.1 * p for v, p in part))
        places, outs = zip(*model.run_batch(
            model.bank(False), values, at(*part)))
        assert sum(places, []) == list(range(len(part)))
        found.append(torch.cat(outs))
    return torch.cat(found)


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=3, max_size=8),
       lanes=st.integers(1, 3), unroll=st.integers(2, 6), split=st.booleans(),
       seed=st.integers(0, 99), replaced=st.floats(0, 0.2))
@example([8, 1, 1, 1, 4, 9, 2, 3], 1, 4, True, 56, 0.125)
def test_a_window_gives_what_its_steps_give(lengths, lanes, unroll, split,
                                            seed, replaced):
    """Ends, starts, short last windows and failures are where they are."""
    keys = [('abcdefgh'[v], p) for v, n in enumerate(lengths)
            for p in range(n)]
    plan = plan_train_epoch(
        index_streams(keys), seed, 0, 0, 1, lanes, split_videos=split)
    rng = np.random.default_rng(seed)
    clips = [keys[i] for i in plan.ravel()]
    for i in range(len(clips)):
        if rng.random() < replaced:
            # Of a video that no lane shows now.
            step = i // lanes * lanes
            shown = {v for v, _ in clips[step:step + lanes]}
            others = [key for key in keys if key[0] not in shown]
            clips[i] = others[rng.integers(len(others))] if others else \
                clips[i]
    # What a replaced clip meets must not hang on how many are remembered.
    model, single = (Host(True, max_streams=99).train() for _ in 'ab')
    for i in range(0, len(clips), lanes * unroll):
        window = clips[i:i + lanes * unroll]
        # Where no clip follows one before it, they are one batch.
        last, goes_on = {}, False
        for video, position in window:
            goes_on |= last.get(video) == position - 1
            last[video] = position
        torch.testing.assert_close(
            outputs(model, window, len(window)),
            outputs(single, window, lanes if goes_on else len(window)))


def test_the_clips_tell_the_steps():
    window = [('a', 3), ('b', 0), ('a', 4), ('b', 1), ('c', 0), ('b', 2)]
    assert count_steps(at(*window), 1) == 3
    # The last window may be shorter; lanes of one step do not know each other.
    assert count_steps(at(*window[:4]), 1) == 2
    assert count_steps(at(*window[:2]), 1) == 1
    assert count_steps(at(('a', 0), ('b', 0), ('c', 0), ('d', 0)), 1) == 1
    # Positions may grow by more than one.
    assert count_steps(at(('a', 0), ('a', 3), ('a', 6), ('a', 9)), 4) == 4
    # Clips that do not follow each other are no window.
    assert count_steps(at(('a', 5), ('a', 2), ('a', 9), ('b', 0)), 1) == 1


def test_evaluation_knows_no_windows():
    clips = [('a', i) for i in range(3)]
    assert outputs(Host(True).eval(), clips, 3).tolist() == pytest.approx(
        [97., 97.1, 97.2])


@pytest.mark.parametrize('with_cp', [False, True])
def test_the_gradient_may_be_cut_within_a_window(with_cp):

    def slopes(**kwargs):
        model = Host(True, with_cp=with_cp, **kwargs).train()
        out = outputs(model, [('a', i) for i in range(4)], 4)
        weight = model.parts[0].weight
        return out, [
            torch.autograd.grad(x, weight, retain_graph=True)[0].item()
            for x in out]

    out, whole = slopes()
    memory = [0, *out.tolist()]
    expected = [0.]
    for before in memory[1:4]:
        expected.append(before + 3 * expected[-1])
    assert whole == pytest.approx(expected)
    cut, parts = slopes(bptt_clips=2)
    assert torch.equal(cut, out)
    assert parts == pytest.approx(
        [0, memory[1], memory[2], memory[3] + 3 * memory[2]])
    assert slopes(bptt_clips=1)[1] == pytest.approx(memory[:4])
    assert slopes(bptt_clips=9)[1] == whole
    with pytest.raises(ValueError, match='bptt_clips=0'):
        Host(True, bptt_clips=0)


@pytest.mark.parametrize('with_cp, calls', [(False, 4), (True, 7)])
def test_checkpointing_recomputes_all_but_the_last_clip(with_cp, calls):
    model = Host(True, with_cp=with_cp).train()
    found = []
    model.parts[0].register_forward_pre_hook(lambda *args: found.append(1))
    outputs(model, [('a', i) for i in range(4)], 4).sum().backward()
    assert len(found) == calls
