# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from helpers.operators import compiles

from mmaction_memvit.memory import state
from mmaction_memvit.models.layers.stream_memory import (
    LayerMemory,
    StreamMemory,
)


def memory(zero: bool) -> StreamMemory:
    raw = (torch.zeros(2, 5, 4), )
    old = torch.zeros(2, 2, 3, 4).unbind()
    layer = LayerMemory(raw, raw, old, old)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    return StreamMemory((layer, layer), nothing, (32, 64),
                        nothing if zero else None)


def after(before: StreamMemory, value: float) -> StreamMemory:
    layers = [
        LayerMemory((old.raw_k[0] + value, ), (old.raw_v[0] - value, ), old.k,
                    old.v) for old in before.layers]
    return before.push(layers, (32, 64))


@pytest.mark.parametrize('zero', [False, True])
def test_masks_tell_what_counts(zero):
    empty = memory(zero)
    assert len(state.tensors(empty)) == 2 * 6 + 1 + zero
    first = after(empty, 1.)
    assert first.valid.tolist() == [[True, False, False]] * 2
    reset = first.reset(torch.tensor([True, False]))
    assert reset.valid.tolist() == [[False] * 3, [True, False, False]]
    assert reset.layers[0].raw_k[0][:, 0, 0].tolist() == [0, 1]
    assert reset.frame_size == (32, 64)
    if zero:
        # Where a clip was, zeros are attended to.
        assert torch.equal(reset.filled, first.filled)
        assert not empty.filled.any()
    else:
        assert reset.filled is None
    assert [x.shape for x in state.tensors(reset)
            ] == [x.shape for x in state.tensors(empty)]


def test_only_the_newest_entries_are_looked_at():
    clips = after(memory(False), float('nan'))
    clips.layers[0].raw_k[0][1] = 1.
    clips.layers[0].raw_v[0][1] = 1.
    clips.layers[1].raw_k[0][1] = 1.
    clips.layers[1].raw_v[0][1] = 1.
    clips.layers[1].k[1][1] = float('nan')
    assert clips.finite().tolist() == [False, True]


@compiles
@pytest.mark.parametrize('zero', [False, True])
def test_steps_and_resets_compile_in_one_graph(zero):

    def window(clips, lanes):
        clips = after(clips.reset(lanes), 2.)
        return state.detach((clips.map(lambda x: x * 3), None))[0]

    torch._dynamo.reset()
    compiled = torch.compile(window, fullgraph=True, backend='eager')
    lanes = torch.tensor([False, True])
    clips = memory(zero)
    for _ in range(3):
        expected = window(clips, lanes)
        clips = compiled(clips, lanes)
        assert isinstance(clips, StreamMemory)
        for a, b in zip(state.tensors(clips), state.tensors(expected)):
            assert torch.equal(a, b)
