# Copyright (c) mmaction_memvit contributors. All rights reserved.
import dataclasses
from typing import Dict, NamedTuple, Optional, Tuple

import pytest
import torch
from helpers.operators import compiles
from torch import Tensor

from mmaction_memvit.memory import as_memory, state


@as_memory
class Pair(NamedTuple):
    keys: Tuple[Tensor, ...]
    values: Tuple[Tensor, ...]


@as_memory
class Nested(NamedTuple):
    layers: Tuple[Pair, ...]
    valid: Tensor
    frame_size: Tuple[int, ...] = (4, 6)
    ages: Optional[Dict[str, Tensor]] = None


@dataclasses.dataclass(frozen=True)
class Plain:
    hidden: Tensor
    width: int = 3


def nested(batch: int = 2, **kwargs) -> Nested:

    def some():
        return torch.randn(batch, 3, 4)

    return Nested(tuple(Pair((some(), some()), (some(), )) for _ in range(2)),
                  torch.ones(batch, 3, dtype=torch.bool),
                  ages=dict(first=torch.arange(batch)), **kwargs)


def same(a, b) -> bool:
    return all(map(torch.equal, state.tensors(a), state.tensors(b))) and type(
            a) is type(b)


MEMORIES = [nested, lambda batch=2: (nested(batch), None),
            lambda batch=2: [dict(a=torch.randn(batch, 2)), 'all'],
            lambda batch=2: Plain(torch.randn(batch, 3)),
            lambda batch=2: torch.randn(batch, 5)]


@pytest.mark.parametrize('make', MEMORIES)
def test_any_nesting(make):
    memory = make(3)
    assert state.num_lanes(memory) == 3
    one = state.select(memory, [1])
    assert state.num_lanes(one) == 1
    parts = [state.select(memory, [i]) for i in range(3)]
    assert same(state.cat(parts), memory)
    cleared = state.reset(memory, torch.tensor([True, False, True]))
    assert same(state.select(cleared, [1]), one)
    assert not any(x[::2].any() for x in state.tensors(cleared))
    assert state.nbytes(memory) == 3 * state.nbytes(one)
    saved = state.state_dict(memory)
    assert same(state.load_state_dict(cleared, saved), memory)


def test_a_lane_with_nan_or_inf_is_found_and_cleared():
    memory = nested(3)
    memory.layers[1].values[0][1, 2, 3] = float('nan')
    memory.layers[0].keys[1][2, 0, 0] = float('-inf')
    assert memory.finite().tolist() == [True, False, False]
    assert memory.reset(~memory.finite()).finite().all()
    assert state.finite((None, torch.tensor([1, 2]))).tolist() == [True, True]


def test_graphs_end_where_they_are_cut():
    leaf = torch.ones(2, 3, requires_grad=True)
    memory = Pair((leaf * 2, ), ())
    assert memory.map(lambda x: x + 1).keys[0].requires_grad
    assert not memory.detach().keys[0].requires_grad
    assert memory.keys[0].requires_grad


def test_only_floating_point_changes_its_dtype():
    memory = nested().to(dtype=torch.bfloat16)
    assert memory.layers[0].keys[0].dtype == torch.bfloat16
    assert memory.valid.dtype == torch.bool
    assert memory.to(torch.device('meta')).valid.is_meta


def test_what_holds_for_all_lanes_must_be_equal():
    with pytest.raises(ValueError, match='frame size'):
        Nested.cat([nested(), nested(frame_size=(6, 4))])
    with pytest.raises(ValueError, match='frame_size'):
        nested(frame_size=(6, 4)).load_state_dict(nested().state_dict())
    with pytest.raises(ValueError, match='init_memory'):
        nested().load_state_dict(Pair((), ()).state_dict())


@compiles
def test_everything_compiles_in_one_graph():

    def step(x, memory, lanes):
        memory = memory.map(lambda y: y * 1).detach().reset(lanes)
        memory, _ = state.reset(state.detach((memory, None)), lanes)
        memory = memory.select(torch.tensor([1, 0])).to(dtype=torch.float32)
        memory = Nested.cat([memory.select([0]), memory.select([1])])
        x = x + memory.layers[0].keys[0] + memory.finite()[:, None, None]
        layers = tuple(Pair((x, *layer.keys[:-1]), layer.values)
                       for layer in memory.layers)
        return x, Nested(layers, memory.valid, ages=memory.ages)

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend='eager')
    x, memory = torch.randn(2, 3, 4), nested()
    lanes = torch.tensor([True, False])
    for _ in range(2):
        expected = step(x, memory, lanes)
        x, memory = compiled(x, memory, lanes)
        assert same((x, memory), expected)
        assert memory.frame_size == (4, 6)
