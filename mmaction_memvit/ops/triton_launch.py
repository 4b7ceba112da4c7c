# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the launches of all Triton kernels share.

The host must keep up with the device: sizes are computed once for each shape,
and by plain arithmetic, which Triton's own helpers are not.
"""
import functools
from typing import Callable, Dict, Sequence, Tuple

import torch
import triton
import triton.language as tl
from mmengine.utils import digit_version
from torch import Tensor

# Before, compiled kernels are not called with all of their arguments.
_CAN_SKIP = digit_version(triton.__version__) >= digit_version('3.3')


@triton.jit
def pick(job, a, b, c):
    """The number of a job."""
    return tl.where(job == 0, a, tl.where(job == 1, b, c))


@triton.jit
def pick_pointer(job, a, b, c):
    """The pointer of a job."""
    if job == 1:
        a = b
    if job == 2:
        a = c
    return a


# Compiled kernels by all that they were compiled for, and a grid.
_ready: Dict[tuple, Callable] = {}
_MOST = 4096


def launch(kernel, grid: Sequence[int], like: Tensor, *args,
           num_warps: int, **constants) -> None:
    """Run ``kernel`` on the device of ``like``; an empty grid runs nothing.

    Triton's own launcher takes 25 us to find out what it has compiled for
    these dtypes, alignments and sizes, three times what a launch takes.
    Constants come in the order of the kernel's arguments, and last.
    """
    if 0 in grid:
        return
    if not like.is_cuda:  # Triton's interpreter
        assert [*constants] == kernel.arg_names[len(args):]
        kernel[tuple(grid)](*args, **constants)
        return
    index = like.get_device()
    if index != torch.cuda.current_device():
        with torch.cuda.device(index):
            launch(kernel, grid, like, *args, num_warps=num_warps, **constants)
        return
    key = (kernel, index, num_warps, *grid, *[
        x if type(x) is int or type(x) is float else
        (x.dtype, x.data_ptr() % 16) for x in args], *constants.values())
    ready = _ready.get(key)
    if ready is not None:
        ready(*args, *constants.values())
        return
    compiled = kernel[tuple(grid)](*args, num_warps=num_warps, **constants)
    if _CAN_SKIP and len(_ready) < _MOST:
        _ready[key] = compiled[(*grid, 1, 1)[:3]]


@functools.lru_cache(None)
def wanted_programs(device: torch.device) -> int:
    """Programs that fill the device a few times over."""
    if device.type != 'cuda':  # Triton's interpreter
        return 4
    return 4 * torch.cuda.get_device_properties(device).multi_processor_count


def power_of_2(n: int) -> int:
    """The next one."""
    return 1 << max(n - 1, 0).bit_length()


def blocks(rows: int, height: int) -> int:
    """How many of a height cover the rows."""
    return -(-rows // height)


@functools.lru_cache(4096)
def tile(rows: int, width: int, others: int, device: torch.device,
         warps: int) -> Tuple[int, int]:
    """Rows and columns of a tile, powers of two, for rows of ``width``.

    A thread gets 32 elements, or fewer where programs (``others`` times the
    tiles) would not fill the device.
    """
    block = max(power_of_2(width), 16)
    height = max(1024 * warps // block, 1)
    while height > 4 and blocks(rows, height) * others < wanted_programs(
            device):
        height //= 2
    return height, block
