# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy

import pytest
import torch

from mmaction_memvit.memory import ClipIdentity, MemoryBank
from mmaction_memvit.models.layers.stream_memory import (
    LayerMemory,
    StreamMemory,
)


def memory_of(*values: float) -> StreamMemory:
    """One layer with one entry; a lane's numbers all equal its value."""
    entry = torch.tensor(values, dtype=torch.float)[:, None, None].repeat(
        1, 3, 2)
    valid = torch.ones(len(values), 1, dtype=torch.bool)
    return StreamMemory((LayerMemory((entry, ), (entry, ), (), ()), ), valid)


def init(batch_size: int) -> StreamMemory:
    empty = memory_of(*[0.] * batch_size)
    return empty.reset(torch.ones(batch_size, dtype=torch.bool))


def values(memory: StreamMemory) -> list:
    """The lanes' values, None where nothing is valid."""
    return [
        x.item() if ok else None for x, ok in zip(
            memory.layers[0].raw_k[0][:, 0, 0], memory.valid[:, 0])]


def clip(name: str, position: int, view: int = 0) -> ClipIdentity:
    return ClipIdentity(name, position, view)


def test_continues_what_follows_only():
    bank = MemoryBank(max_gap=2)
    bank.write([clip('a', 4)], memory_of(7))
    for position, found in ((5, 7), (6, 7), (7, None), (4, None), (3, None)):
        memory = bank.read([clip('a', position)], init)
        assert values(memory) == [found], position
    assert values(bank.read([clip('b', 5)], init)) == [None]
    assert values(bank.read([clip('a', 5, view=1)], init)) == [None]
    assert (bank.num_clips, bank.num_continued) == (7, 2)


def test_lanes_may_move_join_and_leave():
    bank = MemoryBank()
    bank.write([clip(n, 0) for n in 'abc'], memory_of(1, 2, 3))
    # Smaller batch in another order, with a newcomer.
    got = bank.read([clip('c', 1), clip('n', 0), clip('a', 1)], init)
    assert values(got) == [3, None, 1]
    # The lanes of a newcomer carry no content of others either.
    assert got.layers[0].raw_k[0][1].abs().sum() == 0
    bank.write([clip('c', 1), clip('n', 0), clip('a', 1)],
               memory_of(30, 9, 10))
    # b was away for a step and comes back, from an older batch.
    got = bank.read([clip('b', 1), clip('a', 2), clip('n', 1)], init)
    assert values(got) == [2, 10, 9]


def test_same_batch_is_handed_back_without_a_copy():
    bank = MemoryBank()
    stored = memory_of(1, 2)
    bank.write([clip('a', 0), clip('b', 0)], stored)
    got = bank.read([clip('a', 1), clip('b', 1)], init)
    assert got.layers[0].raw_k[0].data_ptr() == stored.layers[0].raw_k[
        0].data_ptr()


def test_a_replaced_sample_costs_its_stream_nothing():
    bank = MemoryBank(max_gap=2)
    bank.write([clip('a', 0), clip('b', 0)], memory_of(1, 2))
    # The loader swapped in a clip of another video for a's.
    got = bank.read([clip('x', 5), clip('b', 1)], init)
    assert values(got) == [None, 2]
    bank.write([clip('x', 5), clip('b', 1)], memory_of(8, 3))
    assert values(bank.read([clip('a', 2), clip('b', 2)], init)) == [1, 3]


def test_stores_without_graph():
    bank = MemoryBank()
    leaf = torch.ones(1, 3, 2, requires_grad=True)
    memory = memory_of(1)
    memory = memory._replace(
        layers=(LayerMemory((leaf * 2, ), (leaf * 2, ), (), ()), ))
    bank.write([clip('a', 0)], memory)
    got = bank.read([clip('a', 1)], init)
    assert not got.layers[0].raw_k[0].requires_grad


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_not_finite_lanes_start_anew(bad):
    bank = MemoryBank()
    bank.write([clip('a', 0), clip('b', 0)], memory_of(bad, 2))
    got = bank.read([clip('a', 1), clip('b', 1)], init)
    assert values(got) == [None, 2]
    assert torch.isfinite(got.layers[0].raw_k[0]).all()
    assert int(bank.num_not_finite) == 1


def test_forgets_the_oldest_streams_and_keeps_no_batches_alive():
    bank = MemoryBank(max_streams=5)
    for i in range(50):
        bank.write([clip(f'{i}a', 0), clip(f'{i}b', 0)], memory_of(i, -i))
    assert len(bank) == 5
    # Of the stream whose neighbour was forgotten there is a copy.
    sizes = [e.stored.memory.num_lanes() for e in bank._streams.values()]
    assert sizes == [1, 2, 2, 2, 2]
    assert values(bank.read([clip('47b', 1)], init)) == [-47]
    assert values(bank.read([clip('48b', 1)], init)) == [-48]
    assert len(MemoryBank(max_streams=1)) == 0
    bank.clear()
    assert len(bank) == bank.num_clips == 0


def test_a_batch_larger_than_the_limit_is_kept_whole():
    bank = MemoryBank(max_streams=1)
    bank.write([clip(n, 0) for n in 'abc'], memory_of(1, 2, 3))
    got = bank.read([clip(n, 1) for n in 'abc'], init)
    assert values(got) == [1, 2, 3]


def test_a_copy_is_empty():
    bank = MemoryBank(max_gap=3, max_streams=5)
    bank.write([clip('a', 0)], memory_of(1))
    other = copy.deepcopy(bank)
    assert len(other) == 0 and len(bank) == 1
    assert (other.max_gap, other.max_streams) == (3, 5)


@pytest.mark.parametrize('kwargs', [dict(max_gap=0), dict(max_streams=0)])
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match='0.*1'):
        MemoryBank(**kwargs)


def linear(bank, step, memory, weight):
    """One step of a model whose memory is weight * memory + 1."""
    value = memory.map(lambda x: x * weight + 1)
    bank.write(step, value._replace(valid=torch.ones_like(memory.valid)))
    return value.layers[0].raw_k[0][:, 0, 0]


def test_the_graph_goes_on_within_a_window_and_ends_with_it():
    bank, weight = MemoryBank(), torch.tensor(3., requires_grad=True)
    # Lane 0 shows a all the way; lane 1 changes from b to c, then to d, which
    # the bank knows from before.
    bank.write([clip('d', 4)], memory_of(7))
    with bank.window():
        for a, other in ((0, ('b', 0)), (1, ('c', 0)), (2, ('d', 5))):
            step = [clip('a', a), clip(*other)]
            out = linear(bank, step, bank.read(step, init), weight)
    # 1 + 3 + 9, whose derivative is 1 + 2 * 3; 7 * 3 + 1, with 7.
    assert out.tolist() == [13, 22]
    for lane, slope in ((0, 7), (1, 7)):
        grad, = torch.autograd.grad(out[lane], weight, retain_graph=True)
        assert grad == slope
    # What ended within the window is kept too, and nothing has a graph.
    step = [clip('c', 1), clip('a', 3), clip('b', 1), clip('d', 6)]
    memory = bank.read(step, init)
    assert values(memory) == [1, 13, 1, 22]
    assert not any(x.requires_grad for x in memory.state_dict().values()
                   if torch.is_tensor(x))


def test_a_lane_that_is_not_finite_starts_anew_within_a_window():
    bank, weight = MemoryBank(), torch.tensor(3., requires_grad=True)
    with bank.window():
        for position in range(3):
            step = [clip('a', position), clip('b', position)]
            memory = bank.read(step, init)
            if position == 1:
                memory = memory.map(
                    lambda x: x + torch.tensor([float('inf'), 0])[:, None,
                                                                  None])
            out = linear(bank, step, memory, weight)
    assert out.tolist() == [1, 13]
    assert int(bank.num_not_finite) == 1
    # Nor does it reach the next window.
    with bank.window():
        step = [clip('a', 3), clip('b', 3)]
        out = linear(bank, step, bank.read(step, init), weight)
    assert torch.autograd.grad(out.sum(), weight)[0] == 14


@pytest.mark.cuda
def test_an_accelerator_is_never_waited_for():
    bank = MemoryBank()
    device = torch.device('cuda')

    def start(num):
        return init(num).to(device)

    bank.write([clip(n, 0) for n in 'abc'],
               memory_of(1, float('nan'), 3).to(device))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        for position, names in ((1, 'abc'), (2, 'axc'), (3, 'ca'),
                                (4, 'ayzc')):
            step = [clip(n, position) for n in names]
            memory = bank.read(step, start)
            bank.write(step, memory.map(lambda x: x + 1))
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert memory.layers[0].raw_k[0][:, 0, 0].tolist() == [4, 0, 0, 6]


def test_elapsed_seconds():
    bank = MemoryBank(max_gap=5)
    bank.write([ClipIdentity('a', 3, seconds=10.5)], memory_of(1))
    known = [ClipIdentity('a', 5, seconds=13.), ClipIdentity('b', 0, 0, 2.)]
    assert bank.elapsed(known) == [2.5, 0]
    assert bank.elapsed([*known, clip('c', 0)]) is None
    # A stream that starts anew has no past to count from.
    assert bank.elapsed([ClipIdentity('a', 2, seconds=9.)]) == [0]
