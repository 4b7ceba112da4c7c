# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Extra channels by which attention knows positions and what is hidden.

See :mod:`.attention`, which they are for.
"""
import math
from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .constants import constant

Size = Tuple[int, int, int]

# The product of the two is what hides a key: exp() of it is exactly 0. Each
# is a power of two, so exact in float16 and bfloat16.
_HIDE_Q, _HIDE_K = 16., -2048.
# CPU kernels are fastest, GPU kernels possible, at multiples of 8 channels.
_ALIGN = 8


class AxisTables(NamedTuple):
    """Position vectors of every query-key pair, an axis each.

    Args:
        t (Tensor): (T_q, T_k, C).
        h (Tensor): (H_q, H_k, C).
        w (Tensor): (W_q, W_k, C).
    """
    t: Tensor
    h: Tensor
    w: Tensor


class Layout(NamedTuple):
    """Which queries and keys there are.

    The keys of a lane are the attended memory entries, oldest first and each
    led by its class token, then the current class token, then the current
    grid.

    Args:
        q_size (tuple[int]): Grid (T, H, W) of the queries.
        k_size (tuple[int]): Grid of the current keys.
        entry_size (tuple[int]): Grid (T", H", W") of one memory entry.
        num_entries (int): Attended entries, M.
        causal (bool): Whether queries see past frames of the clip only, and
            nobody the current class token.
    """
    q_size: Size
    k_size: Size
    entry_size: Size = (0, 0, 0)
    num_entries: int = 0
    causal: bool = False


# Functions, as torch < 2.9 does not compile properties of named tuples.
def key_grids(layout: Layout) -> Tuple[Size, ...]:
    """Grids (T, H, W) of the current and of all remembered keys."""
    if not layout.num_entries:
        return (layout.k_size, )
    frames, height, width = layout.entry_size
    return layout.k_size, (layout.num_entries * frames, height, width)


def num_channels(layout: Layout) -> Tuple[int, int]:
    """Position channels, and those with the one that hides.

    One-hot positions of an axis add up to one, so the first row and column of
    a key grid need no channel of their own: what they score goes to every
    frame.
    """
    used = sum([t + h + w - 2 for t, h, w in key_grids(layout)])
    return used, used + int(layout.num_entries > 0 or layout.causal)


def extra_channels(layout: Layout, channels: int) -> int:
    """All extra channels E of heads of a width, those that fill included."""
    num = channels + num_channels(layout)[1]
    return num + -num % _ALIGN - channels


def fold_tables(current: AxisTables, memory: Optional[AxisTables],
                extra: int) -> Tensor:
    """Vectors whose inner products with a query are its extra channels.

    The extra channels are the frames of the clip and of the memory, then
    rows, then columns, likewise, then what hides and fills.

    Args:
        current (AxisTables): Vectors of the current clip's keys.
        memory (AxisTables, optional): Vectors of the memory's keys.
        extra (int): Extra channels E.

    Returns:
        Tensor: (T + H + W, E, C). A query at (t, h, w) takes the sum of the
        three parts. It is linear in the tables.
    """
    kinds = [current] if memory is None else [current, memory]

    def first(axis: int) -> Tensor:
        # The first row or column scores for every frame of its kind.
        return [x[axis][:, :1].expand(-1, x.t.shape[1], -1) for x in kinds]

    def rest(axis: int) -> Tensor:
        return [x[axis][:, 1:] - x[axis][:, :1] for x in kinds]

    rows = sum(x.h.shape[1] - 1 for x in kinds)
    parts = [
        torch.cat([x.t for x in kinds], dim=1),
        torch.cat(first(1) + rest(1), dim=1),
        torch.cat([
            *first(2),
            current.w.new_zeros(current.w.shape[0], rows, current.w.shape[2]),
            *rest(2)], dim=1)]
    return torch.cat([F.pad(x, (0, 0, 0, extra - x.shape[1])) for x in parts])


@constant
def query_bias(layout: Layout, extra: int, dtype: torch.dtype,
                device: torch.device) -> Tensor:
    """What is added to the extra channels of queries: (T, E) or (1, E)."""
    frames = layout.q_size[0] if layout.causal else 1
    channel = torch.arange(extra, device=device)
    used, hiding = num_channels(layout)
    bias = _HIDE_Q * ((channel >= used) & (channel < hiding))
    future = channel > torch.arange(frames, device=device)[:, None]
    future = future & (channel < frames) & layout.causal
    return (bias + _HIDE_Q * _HIDE_K * future).to(dtype)


def num_tokens(layout: Layout) -> Tuple[int, int]:
    """Keys of one entry and of the clip, class tokens included."""
    return 1 + math.prod(layout.entry_size), 1 + math.prod(layout.k_size)


@constant
def _key_positions(layout: Layout, extra: int, dtype: torch.dtype,
                   device: torch.device) -> Tensor:
    """Extra channels of keys of which none is hidden by the memory: (K, E).

    One-hot positions; class tokens have none.
    """
    channel = torch.arange(extra, device=device)
    grids = key_grids(layout)
    frames = sum(x[0] for x in grids)
    starts = [0, frames, frames + sum(x[1] - 1 for x in grids)]
    parts = []
    for size in grids:
        hot = torch.zeros((), dtype=torch.bool, device=device)
        for axis, skip in enumerate((0, 1, 1)):
            # The first row and column have no channel.
            place = torch.arange(size[axis], device=device) - skip
            own = channel == (place + starts[axis])[:, None]
            own = own & (place >= 0)[:, None]
            shape = [1, 1, 1, extra]
            shape[axis] = size[axis]
            hot = hot | own.view(shape)
            starts[axis] += size[axis] - skip
        parts.append(hot.flatten(0, 2).to(dtype))
    cls = channel == num_channels(layout)[0]
    cls = (_HIDE_K * (cls & layout.causal)).to(dtype)[None]
    past = [
        F.pad(x, (0, 0, 1, 0)) for x in parts[-1].chunk(layout.num_entries)
    ] if layout.num_entries else []
    return torch.cat((*past, cls, parts[0]))


@constant
def _entry_hides(layout: Layout, extra: int, dtype: torch.dtype,
                 device: torch.device) -> Tensor:
    """(M, K * E): what a hidden entry adds to the channels of the keys."""
    num, (past, current) = layout.num_entries, num_tokens(layout)
    entry = torch.arange(num * past + current, device=device) // past
    hides = entry == torch.arange(num, device=device)[:, None]
    column = torch.arange(extra, device=device) == num_channels(layout)[0]
    return (_HIDE_K * (hides[..., None] & column)).flatten(1).to(dtype)


def key_channels(layout: Layout, hidden: Optional[Tensor], extra: int,
                 dtype: torch.dtype, device: torch.device) -> Tensor:
    """Extra channels of all keys.

    Args:
        layout (Layout): Which keys there are.
        hidden (Tensor, optional): Bool, (B, M), oldest entry first: True for
            those to ignore. None without memory.
        extra (int): Extra channels E.
        dtype (torch.dtype): Of the keys.
        device (torch.device): Of the keys.

    Returns:
        Tensor: (B, K, E), or (1, K, E) without memory.
    """
    keys = Layout((), layout.k_size, layout.entry_size, layout.num_entries,
                  layout.causal)
    positions = _key_positions(keys, extra, dtype, device)
    if hidden is None:
        return positions[None]
    hides = _entry_hides(keys, extra, dtype, device)
    # Exact in any dtype: a row of either has one number that is not zero.
    return torch.addmm(positions.view(-1), hidden.to(dtype),
                       hides).view(hidden.shape[0], -1, extra)
