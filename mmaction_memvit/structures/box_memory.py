# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a detector remembers of the boxes it saw: plain data, never mutated."""
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .memory import StreamMemory, forget_lanes, lanes_are_finite

# The boxes' features one box block remembers, newest first, (B, S, C) each.
BoxEntries = Tuple[Tensor, ...]


class BoxMemory(NamedTuple):
    """Box features of earlier clips, of the B streams of a batch.

    A clip's boxes stand in S slots; masks tell which hold a box. S may differ
    from entry to entry, as a clip may have more boxes than usual.

    Args:
        layers (tuple[tuple[Tensor]]): For each box block its entries, newest
            first, (B, S, C) each.
        slots (tuple[Tensor]): Bool, (B, S) for each entry: True where a slot
            holds a box of the stream now in that lane.
        filled (Tensor): Bool, (B, entries): True where a clip of any stream
            was ever stored; read in the ``zero`` mask mode alone.
    """
    layers: Tuple[BoxEntries, ...]
    slots: Tuple[Tensor, ...]
    filled: Tensor

    @property
    def batch_size(self) -> int:
        """int: number of lanes."""
        return self.filled.shape[0]

    def map(self, fn: Callable[[Tensor], Tensor]) -> 'BoxMemory':
        """Apply ``fn`` to the features (not to the masks)."""
        return self._replace(
            layers=tuple(tuple(fn(x) for x in e) for e in self.layers))

    def detach(self) -> 'BoxMemory':
        """The same memory without its graph."""
        return self.map(torch.Tensor.detach)

    def reset(self, lanes: Tensor) -> 'BoxMemory':
        """Forget what some lanes hold; ``lanes`` bool, (B, )."""
        lanes = lanes.to(self.filled.device)
        return self.map(lambda x: forget_lanes(x, lanes))._replace(
            slots=tuple(x & ~lanes[:, None] for x in self.slots))

    def finite(self) -> Tensor:
        """Which lanes' newest entries are finite: bool, (B, )."""
        newest = [entries[0] for entries in self.layers]
        return lanes_are_finite(newest, torch.ones_like(self.filled[:, 0]))

    def select(self, lanes: Sequence[int]) -> 'BoxMemory':
        """The memory of some lanes, in the given order, as a new batch."""
        index = torch.as_tensor(lanes, device=self.filled.device)
        return self.map(lambda x: x.index_select(0, index))._replace(
            slots=tuple(x.index_select(0, index) for x in self.slots),
            filled=self.filled.index_select(0, index))

    def push(self, layers: Sequence[Tensor], slots: Tensor) -> 'BoxMemory':
        """The memory after a clip.

        Args:
            layers (Sequence[Tensor]): Features of the clip's slots in each
                box block, (B, S, C).
            slots (Tensor): Bool, (B, S): which of them hold a box.

        Returns:
            BoxMemory: With the clip as newest entry, without the oldest.
        """
        seen = torch.ones_like(self.filled[:, :1])
        return BoxMemory(
            tuple((new, *old[:-1]) for new, old in zip(layers, self.layers)),
            (slots, *self.slots[:-1]),
            torch.cat((seen, self.filled[:, :-1]), dim=1))

    def nbytes(self) -> int:
        """Size of the remembered features in bytes."""
        return sum(x.numel() * x.element_size() for entries in self.layers
                   for x in entries)

    @staticmethod
    def cat(memories: Sequence['BoxMemory']) -> 'BoxMemory':
        """Put lanes side by side; the widest entry gives the slots."""
        if len(memories) == 1:
            return memories[0]

        def join(xs: Sequence[Tensor]) -> Tensor:
            width = max(x.shape[1] for x in xs)
            return torch.cat([pad_slots(x, width) for x in xs])

        return BoxMemory(
            tuple(
                tuple(join(xs) for xs in zip(*same_layer))
                for same_layer in zip(*(m.layers for m in memories))),
            tuple(join(xs) for xs in zip(*(m.slots for m in memories))),
            torch.cat([m.filled for m in memories]))


class DetectionMemory(NamedTuple):
    """What a detector remembers: its backbone's part and its RoI head's.

    Args:
        clips (StreamMemory, optional): None for a backbone without memory.
        boxes (BoxMemory, optional): None for a RoI head without memory.
    """
    clips: Optional[StreamMemory]
    boxes: Optional[BoxMemory]

    def _each(self, fn: Callable) -> 'DetectionMemory':
        return DetectionMemory(*(x if x is None else fn(x) for x in self))

    @property
    def _parts(self) -> tuple:
        return tuple(x for x in self if x is not None)

    @property
    def batch_size(self) -> int:
        """int: number of lanes."""
        return self._parts[0].batch_size

    def detach(self) -> 'DetectionMemory':
        """The same memory without its graph."""
        return self._each(lambda x: x.detach())

    def reset(self, lanes: Tensor) -> 'DetectionMemory':
        """Forget what some lanes hold; ``lanes`` bool, (B, )."""
        return self._each(lambda x: x.reset(lanes))

    def finite(self) -> Tensor:
        """Which lanes' newest entries are finite: bool, (B, )."""
        first, *rest = (x.finite() for x in self._parts)
        for ok in rest:
            first = first & ok
        return first

    def select(self, lanes: Sequence[int]) -> 'DetectionMemory':
        """The memory of some lanes, in the given order, as a new batch."""
        return self._each(lambda x: x.select(lanes))

    def nbytes(self) -> int:
        """Size of the remembered tensors in bytes."""
        return sum(x.nbytes() for x in self._parts)

    @staticmethod
    def cat(memories: Sequence['DetectionMemory']) -> 'DetectionMemory':
        """Put the lanes of several memories side by side."""
        return DetectionMemory(*(
            parts[0] if parts[0] is None else type(parts[0]).cat(parts)
            for parts in zip(*memories)))


def pad_slots(x: Tensor, width: int) -> Tensor:
    """Fill (B, S, ...) up to ``width`` slots with zeros, or False."""
    missing = width - x.shape[1]
    if not missing:
        return x
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, missing))
