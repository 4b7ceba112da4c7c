# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a RoI head remembers of boxes (see :mod:`mmaction_memvit.memory`)."""
from functools import partial
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from mmaction_memvit.memory.state import as_memory, reset_tensors, tree_map

from .stream_memory import push_mask


@as_memory
class BoxMemory(NamedTuple):
    """Box features of earlier clips, of the B streams of a batch.

    A clip's boxes stand in S slots; masks tell which hold a box. S may differ
    from entry to entry, as a clip may have more boxes than usual.

    Args:
        layers (tuple[tuple[Tensor]]): For each box block its entries, newest
            first, (B, S, C) each: what it looks at.
        slots (tuple[Tensor]): Bool, (B, S) for each entry: True where a slot
            holds a box of the stream now in that lane.
        filled (Tensor, optional): Bool, (B, entries): True where a clip of
            any stream was ever stored. None unless in the ``zero`` mask mode.
        seconds (Tensor, optional): (B, entries), float32, from where the last
            clip starts to where each entry's does: 0 and less. None unless in
            heads that keep time.
    """
    layers: Tuple[Tuple[Tensor, ...], ...]
    slots: Tuple[Tensor, ...]
    filled: Optional[Tensor] = None
    seconds: Optional[Tensor] = None

    @classmethod
    def empty(cls, entries: Tuple[int, int], shape: Tuple[int, int, int],
              like: Tensor,
              device: Optional[torch.device] = None) -> 'BoxMemory':
        """Without a box: so many layers and entries of ``shape`` (B, S, C).

        ``like`` has the dtype, and the device unless it is given.
        """
        layers, num = entries
        new = partial(like.new_zeros, device=device or like.device)
        return cls(
            tuple(tuple(new(shape) for _ in range(num))
                  for _ in range(layers)),
            tuple(new(shape[:2], dtype=torch.bool) for _ in range(num)))

    def reset(self, lanes: Tensor) -> 'BoxMemory':
        """Forget what some lanes hold; ``lanes`` bool, (B, )."""
        memory = BoxMemory(*reset_tensors(tuple(self), lanes))
        return memory._replace(filled=self.filled)

    def latest(self) -> List[Tensor]:
        """The newest entries."""
        return [entries[0] for entries in self.layers]

    @staticmethod
    def cat(memories: Sequence['BoxMemory']) -> 'BoxMemory':
        """Put lanes side by side; the widest entry gives the slots."""

        def join(*xs: Tensor) -> Tensor:
            most = max(x.shape[1] for x in xs)
            return torch.cat([
                F.pad(x, (0, 0) * (x.dim() - 2) + (0, most - x.shape[1]))
                for x in xs])

        return tree_map(join, *memories)

    def later(self, elapsed: Union[float, Tensor]) -> 'BoxMemory':
        """As a clip sees it ``elapsed`` seconds, (B, ) or one, after."""
        if torch.is_tensor(elapsed):
            elapsed = elapsed.to(self.seconds)[:, None]
        return self._replace(seconds=self.seconds - elapsed)

    def push(self, layers: Sequence[Tensor], slots: Tensor) -> 'BoxMemory':
        """The memory after a clip, without its oldest entry.

        ``layers`` are features of the clip's slots in each box block, (B, S,
        C), ``slots`` bool, (B, S), which of them hold a box.
        """
        filled, seconds = self.filled, self.seconds
        if seconds is not None:
            seconds = F.pad(seconds[:, :-1], (1, 0))
        return BoxMemory(
            tuple((new, *old[:-1]) for new, old in zip(layers, self.layers)),
            (slots, *self.slots[:-1]),
            None if filled is None else push_mask(filled), seconds)
