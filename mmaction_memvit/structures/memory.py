# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a model remembers of its streams: plain data, never mutated."""
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor


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

    def map(self, fn: Callable[[Tensor], Tensor]) -> 'LayerMemory':
        """Apply ``fn`` to every tensor."""
        return LayerMemory(*(tuple(fn(x) for x in part) for part in self))


class StreamMemory(NamedTuple):
    """Everything a backbone remembers of the B streams of a batch.

    Immutable: every method returns a new object. The number and the shape
    of its tensors are those of the first step, whatever was seen; masks tell
    which entries count.

    Args:
        layers (tuple[LayerMemory]): One for each layer with memory.
        valid (Tensor): Bool, (B, entries), newest entry first: True where the
            entry belongs to the stream now in that lane.
        filled (Tensor): Bool, (B, entries): True where a clip of any stream
            was ever stored. Differs from ``valid`` only after a reset; read
            in the ``zero`` mask mode alone.
        frame_size (tuple[int]): Height and width of the clips' frames in
            pixels; () if nobody says.
    """
    layers: Tuple[LayerMemory, ...]
    valid: Tensor
    filled: Tensor
    frame_size: Tuple[int, ...] = ()

    @property
    def batch_size(self) -> int:
        """int: number of lanes."""
        return self.valid.shape[0]

    def map(self, fn: Callable[[Tensor], Tensor]) -> 'StreamMemory':
        """Apply ``fn`` to every remembered tensor (not to the masks)."""
        return self._replace(layers=tuple(x.map(fn) for x in self.layers))

    def detach(self) -> 'StreamMemory':
        """The same memory without its graph."""
        return self.map(torch.Tensor.detach)

    def reset(self, lanes: Tensor) -> 'StreamMemory':
        """Forget what some lanes hold.

        Args:
            lanes (Tensor): Bool, (B, ), True where a new stream starts.

        Returns:
            StreamMemory: With those lanes' entries zeroed and not valid.
        """
        lanes = lanes.to(self.valid.device)
        return self.map(lambda x: forget_lanes(x, lanes))._replace(
            valid=self.valid & ~lanes[:, None])

    def finite(self) -> Tensor:
        """Which lanes' newest entries are finite: bool, (B, ).

        Older entries were newest once.
        """
        newest = [x for layer in self.layers for part in layer
                  for x in part[:1]]
        return lanes_are_finite(newest, torch.ones_like(self.valid[:, 0]))

    def select(self, lanes: Sequence[int]) -> 'StreamMemory':
        """The memory of some lanes, in the given order, as a new batch."""
        index = torch.as_tensor(lanes, device=self.valid.device)
        return StreamMemory(
            tuple(x.map(lambda t: t.index_select(0, index))
                  for x in self.layers), self.valid.index_select(0, index),
            self.filled.index_select(0, index), self.frame_size)

    def nbytes(self) -> int:
        """Size of the remembered tensors in bytes."""
        return sum(x.numel() * x.element_size() for layer in self.layers
                   for part in layer for x in part)

    @staticmethod
    def cat(memories: Sequence['StreamMemory']) -> 'StreamMemory':
        """Put the lanes of several memories side by side."""
        if len(memories) == 1:
            return memories[0]
        sizes = {m.frame_size for m in memories}
        if len(sizes) > 1:
            raise ValueError(f'memories of frames of the sizes {sizes} cannot '
                             'stand side by side: one size a batch')
        layers = tuple(
            LayerMemory(*(tuple(torch.cat(xs) for xs in zip(*parts))
                          for parts in zip(*same_layer)))
            for same_layer in zip(*(m.layers for m in memories)))
        return StreamMemory(layers, torch.cat([m.valid for m in memories]),
                            torch.cat([m.filled for m in memories]),
                            memories[0].frame_size)


def forget_lanes(x: Tensor, lanes: Tensor) -> Tensor:
    """Zeros where ``lanes`` (B, ) is True; a NaN goes too."""
    return torch.where(lanes.view(-1, *[1] * (x.dim() - 1)),
                       x.new_zeros(()), x)


def lanes_are_finite(entries: Sequence[Tensor], ok: Tensor) -> Tensor:
    """And ``ok`` (B, ) with whether all ``entries`` (B, ...) are finite.

    The sum of an entry is looked at, in float32: one pass, and no number
    escapes it.
    """
    for x in entries:
        total = x.flatten(1).sum(1, dtype=torch.float32)
        ok = ok & torch.isfinite(total)
    return ok


def empty_layer_memory(batch_size: int,
                       tokens: int,
                       compressed_tokens: int,
                       channels: int,
                       num_raw: int,
                       num_compressed: int,
                       dtype: Optional[torch.dtype] = None,
                       device: Optional[torch.device] = None) -> LayerMemory:
    """A layer's memory before the first clip: zeros of the final shapes."""

    def zeros(num: int, length: int) -> Tuple[Tensor, ...]:
        return tuple(
            torch.zeros(
                batch_size, length, channels, dtype=dtype, device=device)
            for _ in range(num))

    return LayerMemory(
        zeros(num_raw, tokens), zeros(num_raw, tokens),
        zeros(num_compressed, compressed_tokens),
        zeros(num_compressed, compressed_tokens))
