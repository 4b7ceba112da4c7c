# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What necks remember of vectors (see :mod:`mmaction_memvit.memory`)."""
from typing import NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmaction_memvit.memory.state import as_memory

#: Keys and values, (B, N, C) each.
Entries = Tuple[Tensor, Tensor]


@as_memory
class TokenMemory(NamedTuple):
    """The last M vectors of B streams, oldest first.

    Args:
        entries (tuple[tuple[Tensor]]): For each layer with a cache keys and
            values, (B, m, C), of the last m <= M vectors.
        seconds (Tensor): (B, M), float32, from where the last clip starts to
            where each vector is: negative for those of clips before.
        valid (Tensor): Bool, (B, M): True where a vector is of the stream now
            in that lane.
        sums (tuple[Tensor]): Of :func:`running_attention`: what it has added
            up of an endless past. Defaults to (): nothing.
    """
    entries: Tuple[Entries, ...]
    seconds: Tensor
    valid: Tensor
    sums: Tuple[Tensor, ...] = ()

    @classmethod
    def empty(cls, batch_size: int, lengths: Sequence[int], like: Tensor,
              sums: Tuple[Tensor, ...] = ()) -> 'TokenMemory':
        """Of caches of some lengths; ``like`` (C, ) has width and dtype."""
        most = max(lengths, default=0)
        times = like.new_zeros(batch_size, most, dtype=torch.float32)
        return cls(
            tuple((like.new_zeros(batch_size, n, len(like)),
                   like.new_zeros(batch_size, n, len(like)))
                  for n in lengths), times,
            torch.zeros_like(times, dtype=torch.bool), sums)

    def later(self, elapsed: Optional[Tensor], step: float) -> 'TokenMemory':
        """As the next clip sees it, ``elapsed`` (B, ) seconds after the last.

        None: ``step`` seconds after the last vector.
        """
        if not self.seconds.shape[1]:
            return self
        if elapsed is None:
            elapsed = self.seconds[:, -1] + step
        return self.shifted(-elapsed.to(self.seconds)[:, None])

    def shifted(self, seconds: Union[float, Tensor]) -> 'TokenMemory':
        """By a clock that started so much earlier."""
        # torch.compile does not see into _replace before torch 2.5.
        return TokenMemory(self.entries, self.seconds + seconds, self.valid,
                           self.sums)

    def extended(self, length: int, step: float) -> Tuple[Tensor, Tensor]:
        """``seconds`` and ``valid`` with the clip's own: (B, M + length)."""
        batch = self.seconds.shape[0]
        own = torch.arange(
            length, dtype=torch.float32, device=self.seconds.device) * step
        return (torch.cat((self.seconds, own.expand(batch, -1)), 1),
                torch.cat((self.valid, torch.ones_like(
                    own, dtype=torch.bool).expand(batch, -1)), 1))

    def push(self, entries: Sequence[Entries], seconds: Tensor, valid: Tensor,
             sums: Tuple[Tensor, ...] = ()) -> 'TokenMemory':
        """The memory after a clip, of what was there and what came with it."""
        return TokenMemory(
            tuple((last(new_k, k.shape[1]), last(new_v, v.shape[1]))
                  for (new_k, new_v), (k, v) in zip(entries, self.entries)),
            last(seconds, self.seconds.shape[1]),
            last(valid, self.valid.shape[1]), sums)


def last(x: Tensor, num: int) -> Tensor:
    """The last vectors of (B, N, ...)."""
    return x.narrow(1, x.shape[1] - num, num)


def band(length: int, total: int, least: int, most: int,
         device: torch.device) -> Tensor:
    """Bool (length, total): places ``least`` to ``most`` before one's own.

    The T = ``length`` that look are the last of ``total`` places.
    """
    places = torch.arange(total, device=device)
    ages = places[total - length:, None] - places
    return (ages >= least) & (ages <= most)
