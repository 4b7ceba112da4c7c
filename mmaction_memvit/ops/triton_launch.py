# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the launches of all Triton kernels share."""
import functools
from contextlib import nullcontext
from typing import Sequence, Tuple

import torch
import triton
from torch import Tensor


def launch(kernel, grid: Sequence[int], like: Tensor, *args,
           **constants) -> None:
    """Run ``kernel`` on the device of ``like``; an empty grid runs nothing."""
    if 0 in grid:
        return
    on_device = (
        torch.cuda.device(like.device) if like.is_cuda else nullcontext())
    with on_device:
        kernel[tuple(grid)](*args, **constants)


@functools.lru_cache(None)
def _processors(device: torch.device) -> int:
    if device.type != 'cuda':  # Triton's interpreter
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count


def wanted_programs(like: Tensor) -> int:
    """Programs that fill the device a few times over."""
    return 4 * _processors(like.device)


def tile(rows: int, width: int, others: int, like: Tensor,
         warps: int) -> Tuple[int, int]:
    """Rows and columns of a tile, powers of two, for rows of ``width``.

    A thread gets 32 elements, or fewer where programs (``others`` times the
    tiles) would not fill the device.
    """
    block = max(triton.next_power_of_2(width), 16)
    height = max(1024 * warps // block, 1)
    while height > 4 and -(-rows // height) * others < wanted_programs(like):
        height //= 2
    return height, block
