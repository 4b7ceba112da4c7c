# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import NamedTuple, Optional

from torch import Tensor


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
    def num_entries(self) -> int:
        """int: entries kept, attended or waiting."""
        return self.length * self.stride

    @property
    def num_compressed(self) -> int:
        """int: of these, the compressed ones."""
        return self.num_entries - self.compress_age

    def attended(self, mask: Tensor) -> Tensor:
        """Columns of the attended entries, oldest first.

        Args:
            mask (Tensor): (B, entries), newest first.

        Returns:
            Tensor: (B, M).
        """
        return mask[:, self.stride - 1::self.stride].flip(1)


def memory_spec(mem_len: int, mem_stride: int, mem_compress: Optional[dict],
                mem_mask: str, mem_compress_at: str) -> MemorySpec:
    """Read the options of :class:`MeMViT`.

    Raises:
        ValueError: If one is out of range.
    """
    if mem_len < 0:
        raise ValueError(f'mem_len is {mem_len}, but must be 0 (no memory) or '
                         'the number of clips to attend to')
    if mem_stride < 1:
        raise ValueError(f'mem_stride is {mem_stride}, but must be at least 1 '
                         '(every clip)')
    for name, value, choices in (('mem_mask', mem_mask, ('exclude', 'zero')),
                                 ('mem_compress_at', mem_compress_at,
                                  ('first_use', 'next'))):
        if value not in choices:
            raise ValueError(
                f'{name} is {value!r}, but must be one of {choices}')
    if mem_compress is None:
        age = mem_len * mem_stride
    else:
        age = mem_stride if mem_compress_at == 'first_use' else 1
    return MemorySpec(mem_len, mem_stride, age, mem_compress,
                      mem_mask == 'zero')
