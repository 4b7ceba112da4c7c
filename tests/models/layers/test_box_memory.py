# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch

from mmaction_memvit.memory import ClipIdentity, MemoryBank
from mmaction_memvit.models.layers.box_memory import BoxMemory


def boxes(batch: int, slots: int, value: float = 1., **kwargs) -> BoxMemory:
    entry = torch.full((batch, slots, 3), value)
    mask = torch.ones(batch, slots, dtype=torch.bool)
    return BoxMemory(((entry, entry + 1), ), (mask, mask), **kwargs)


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
    assert both.num_lanes() == 3
    assert both.layers[0][0].shape == (3, 4, 3)
    assert both.slots[0].tolist() == [[True, True, False, False],
                                      [True] * 4, [True] * 4]
    assert not both.layers[0][0][0, 2:].any()
    back = both.select([2, 0])
    assert back.layers[0][0][:, 0, 0].tolist() == [7., 5.]
    assert back.slots[1].sum(1).tolist() == [4, 2]


def test_reset_forgets_features_and_slots_even_nan():
    filled = torch.ones(2, 2, dtype=torch.bool)
    memory = boxes(2, 2, float('nan'), filled=filled)
    memory = memory.reset(torch.tensor([True, False]))
    assert memory.layers[0][0][0].tolist() == [[0.] * 3] * 2
    assert memory.slots[0].tolist() == [[False] * 2, [True] * 2]
    # That something was there once is kept, for the zero mode.
    assert memory.filled.all()
    assert memory.finite().tolist() == [True, False]


def test_the_bank_remembers_parts_of_a_batch_as_a_whole_batch():
    """Written in three parts, no stream of the batch is driven out."""
    bank = MemoryBank()
    for position in range(2):
        for name in 'abcdef':
            who = [ClipIdentity(name, position)]
            bank.read(who, lambda n: (None, boxes(n, 2)))
            bank.write(who, (None, boxes(1, 2)), batch_size=6)
    assert len(bank) == 6 and bank.num_continued == 6
