# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What MeMViT remembers of its streams (see :mod:`mmaction_memvit.memory`)."""
from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmaction_memvit.memory.state import as_memory, reset_tensors


class MemorySpec(NamedTuple):
    """How a layer remembers.

    Args:
        length (int): Attended entries, M.
        stride (int): Clips between attended entries, the gap.
        compress_age (int): Age in clips at which an entry is compressed: the
            stride if at its first use, 1 if at the next step, ``length *
            stride`` if never.
        compress (dict, optional): Kernel and stride of the compression.
        zero_mask (bool): Whether entries of an earlier video are attended as
            zeros instead of not at all.
    """
    length: int
    stride: int
    compress_age: int
    compress: Optional[dict]
    zero_mask: bool

    @property
    def num_compressed(self) -> int:
        """int: entries kept compressed, of length x stride."""
        return self.length * self.stride - self.compress_age

    def attended(self, mask: Tensor) -> Tensor:
        """Columns (B, M), oldest first, of (B, entries), newest first."""
        return mask[:, self.stride - 1::self.stride].flip(1)


@as_memory
class LayerMemory(NamedTuple):
    """Pooled keys and values one attention layer remembers, newest first.

    Args:
        raw_k (tuple[Tensor]): Keys as they left the pooling, one tensor
            (B, 1 + T'H'W', C) an entry, class token first.
        raw_v (tuple[Tensor]): The values, likewise.
        k (tuple[Tensor]): Older keys, compressed, (B, 1 + T"H"W", C) each.
        v (tuple[Tensor]): Older values, likewise.
    """
    raw_k: Tuple[Tensor, ...]
    raw_v: Tuple[Tensor, ...]
    k: Tuple[Tensor, ...]
    v: Tuple[Tensor, ...]


@as_memory
class StreamMemory(NamedTuple):
    """Everything a backbone remembers of the B streams of a batch.

    The number and the shape of its tensors are those of the first step,
    whatever was seen; masks tell which entries count.

    Args:
        layers (tuple[LayerMemory]): One for each layer with memory.
        valid (Tensor): Bool, (B, entries), newest entry first: True where the
            entry belongs to the stream now in that lane.
        frame_size (tuple[int]): Height and width of the clips' frames in
            pixels; () if nobody says.
        filled (Tensor, optional): Bool, (B, entries): True where a clip of
            any stream was ever stored, a reset or not. None unless in the
            ``zero`` mask mode, which attends to what a reset left.
    """
    layers: Tuple[LayerMemory, ...]
    valid: Tensor
    frame_size: Tuple[int, ...] = ()
    filled: Optional[Tensor] = None

    def reset(self, lanes: Tensor) -> 'StreamMemory':
        """Forget what some lanes hold; ``lanes`` bool, (B, )."""
        layers, valid, *_ = reset_tensors(tuple(self), lanes)
        # torch.compile does not see into _replace before torch 2.5.
        return StreamMemory(layers, valid, self.frame_size, self.filled)

    def latest(self) -> List[Tensor]:
        """The newest entries."""
        return [x for layer in self.layers for part in layer for x in part[:1]]

    def push(self, layers: Sequence[LayerMemory],
             frame_size: Tuple[int, ...]) -> 'StreamMemory':
        """The memory after a clip, which is the newest entry of layers."""
        return StreamMemory(
            tuple(layers), push_mask(self.valid), frame_size,
            None if self.filled is None else push_mask(self.filled))


def push_mask(mask: Tensor) -> Tensor:
    """Bool (B, entries) after a clip: True comes in, the oldest leaves."""
    return torch.cat((torch.ones_like(mask[:, :1]), mask[:, :-1]), dim=1)
