# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Weights of RoIAlign's samples, in Triton; a program is a box and an axis."""
import functools
from typing import Tuple

import triton
import triton.language as tl
from torch import Tensor

from .triton_launch import launch, pick_pointer, power_of_2


@triton.jit
def _first(edge, size, start, step, low, high):
    """Number of a bin's first sample at or behind an edge."""
    place = (edge - start) / step - 0.5
    place = tl.where(place < low - 1, low - 1, place)
    place = tl.where(place > high + 1, high + 1, place)
    whole = place.to(tl.int32).to(tl.float32)
    ceil = whole + (whole < place).to(tl.float32)
    # A sample exactly at the far end still counts.
    ceil += ((edge == size) & (ceil == place)).to(tl.float32)
    return tl.minimum(tl.maximum(ceil, low), high)


@triton.jit
def _middle(a, b, start, step, size):
    """Where samples a to b - 1 lie in the mean, on the map."""
    middle = start + step * (a + b) / 2
    # Unlike tl.maximum, this keeps what is no number.
    middle = tl.where(middle < 0, 0., middle)
    return tl.where(middle > size - 1, size - 1, middle)


@functools.partial(triton.jit,
                   do_not_specialize=['H', 'W', 'bins_y', 'bins_x'])
def _weights_kernel(box_ptr, y_ptr, x_ptr, H, W, bins_y, bins_x,
                    RATIO: tl.constexpr, ALIGNED: tl.constexpr,
                    BLOCK_P: tl.constexpr, BLOCK_S: tl.constexpr):
    box, axis = tl.program_id(0), tl.program_id(1)
    out_ptr = pick_pointer(axis, y_ptr, x_ptr, x_ptr)
    size = tl.where(axis == 0, H, W)
    bins = tl.where(axis == 0, bins_y, bins_x)
    # x1, y1, x2, y2
    start = tl.load(box_ptr + box * 4 + 1 - axis)
    length = tl.load(box_ptr + box * 4 + 3 - axis) - start
    least = 0. if ALIGNED else 1.
    length = tl.where(length < least, least, length)
    if ALIGNED:
        start -= 0.5
    num = length / bins
    whole = num.to(tl.int32).to(tl.float32)
    num = whole + (whole < num).to(tl.float32)
    if RATIO > 0:
        num = num * 0 + RATIO
    some = tl.maximum(num, 1.)
    step = length / (bins * some)
    step = tl.where(step < 1e-12, 1e-12, step)
    row, pixel = tl.arange(0, BLOCK_P)[:, None], tl.arange(0, BLOCK_S)[None, :]
    low = row * num
    high = low + num
    at = pixel.to(tl.float32)
    before = _first(at - 1, size, start, step, low, high)
    here = _first(at, size, start, step, low, high)
    behind = _first(at + 1, size, start, step, low, high)
    # Bilinear weights of the samples on either side of a pixel.
    total = (here - before) * (
        1 - (at - _middle(before, here, start, step, size)))
    total += (behind - here) * (
        1 - (_middle(here, behind, start, step, size) - at))
    tl.store(out_ptr + (box * bins + row) * size + pixel, total / some,
             mask=(row < bins) & (pixel < size))


def box_weights(boxes: Tensor, shape: Tuple[int, int], bins: Tuple[int, int],
                sampling_ratio: int, aligned: bool) -> Tuple[Tensor, Tensor]:
    """See :func:`roi_align.box_weights_definition`; float32."""
    outs = [boxes.new_empty(len(boxes), num, size)
            for num, size in zip(bins, shape)]
    launch(_weights_kernel, (len(boxes), 2), boxes, boxes.contiguous(), *outs,
           *shape, *bins, RATIO=sampling_ratio, ALIGNED=aligned,
           BLOCK_P=power_of_2(max(bins)), BLOCK_S=power_of_2(max(shape)),
           num_warps=4)
    return tuple(outs)
