# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.structures import (
    BoxMemory,
    ClipIdentity,
    DetectionMemory,
    LayerMemory,
    MemoryBank,
    StreamMemory,
)


def boxes(batch: int, slots: int, value: float = 1.) -> BoxMemory:
    entry = torch.full((batch, slots, 3), value)
    mask = torch.ones(batch, slots, dtype=torch.bool)
    return BoxMemory(((entry, entry + 1), ), (mask, mask),
                     torch.ones(batch, 2, dtype=torch.bool))


def clips(batch: int, tokens: int = 4, value: float = 1.) -> StreamMemory:
    entry = (torch.full((batch, tokens, 3), value), )
    mask = torch.ones(batch, 1, dtype=torch.bool)
    return StreamMemory((LayerMemory(entry, entry, (), ()), ), mask, mask)


def test_push_drops_the_oldest_and_changes_nothing_in_place():
    memory = boxes(2, 4)
    new = torch.zeros(2, 6, 3)
    pushed = memory.push([new], torch.zeros(2, 6, dtype=torch.bool))
    assert pushed.layers[0][0] is new
    assert pushed.layers[0][1] is memory.layers[0][0]
    assert [x.shape[1] for x in pushed.slots] == [6, 4]
    assert len(memory.layers[0]) == 2 and memory.slots[0].all()


def test_lanes_of_different_width_stand_side_by_side():
    both = BoxMemory.cat([boxes(1, 2, 5.), boxes(2, 4, 7.)])
    assert both.batch_size == 3
    assert both.layers[0][0].shape == (3, 4, 3)
    assert both.slots[0].tolist() == [[True, True, False, False],
                                      [True] * 4, [True] * 4]
    assert not both.layers[0][0][0, 2:].any()
    back = both.select([2, 0])
    assert back.layers[0][0][:, 0, 0].tolist() == [7., 5.]
    assert back.slots[1].sum(1).tolist() == [4, 2]


def test_reset_forgets_features_and_slots_even_nan():
    memory = boxes(2, 2).map(lambda x: x * float('nan'))
    memory = memory.reset(torch.tensor([True, False]))
    assert memory.layers[0][0][0].tolist() == [[0.] * 3] * 2
    assert memory.slots[0].tolist() == [[False] * 2, [True] * 2]
    # That something was there once is kept, for the zero mode.
    assert memory.filled.all()
    assert memory.finite().tolist() == [True, False]


def test_detach_and_size():
    entry = torch.ones(1, 2, 3, requires_grad=True) * 2
    memory = boxes(1, 2)._replace(layers=((entry, entry), ))
    assert not memory.detach().layers[0][0].requires_grad
    assert memory.nbytes() == 2 * 6 * 4
    assert DetectionMemory(clips(1), boxes(1, 2)).nbytes() == 2 * 48 + 2 * 24


@pytest.mark.parametrize('parts', [(True, True), (True, False),
                                   (False, True)])
def test_detection_memory_handles_both_parts(parts):

    def make(batch, value):
        return DetectionMemory(
            clips(batch, value=value) if parts[0] else None,
            boxes(batch, 2, value) if parts[1] else None)

    def first(memory):
        x = memory.clips.layers[0].raw_k if parts[0] else \
            memory.boxes.layers[0]
        return x[0][:, 0, 0].tolist()

    memory = DetectionMemory.cat([make(1, 1.), make(2, 2.)])
    assert memory.batch_size == 3 and first(memory) == [1., 2., 2.]
    assert first(memory.select([1, 0])) == [2., 1.]
    memory = memory.reset(torch.tensor([False, True, False]))
    assert first(memory) == [1., 0., 2.]
    assert memory.finite().all()
    bad = make(2, float('nan'))
    assert not bad.finite().any()
    assert not bad.detach().finite().any()


def test_the_bank_remembers_parts_of_a_batch_as_a_whole_batch():
    """Written in three parts, no stream of the batch is driven out."""
    bank = MemoryBank()
    names = 'abcdef'
    for position in range(2):
        for name in names:
            who = [ClipIdentity(name, position)]
            bank.read(who, lambda n: DetectionMemory(None, boxes(n, 2)))
            bank.write(
                who, DetectionMemory(None, boxes(1, 2)), batch_size=6)
    assert len(bank) == 6 and bank.num_continued == 6
