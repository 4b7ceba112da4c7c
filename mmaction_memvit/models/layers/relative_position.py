# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Decomposed relative positions: which table row belongs to which pair."""
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmaction_memvit.ops.attention_channels import (
    AxisTables,
    Layout,
    fold_tables,
)
from mmaction_memvit.ops.constants import constant, is_compiling


def resize_table(table: Tensor, rows: int) -> Tensor:
    """Linearly resize a table (L, C) to (rows, C)."""
    if table.shape[0] == rows:
        return table
    wide = table.to(torch.promote_types(table.dtype, torch.float32))
    return F.interpolate(
        wide.t()[None], size=rows, mode='linear')[0].t().to(table)


def extend_table(table: Tensor, rows: int) -> Tensor:
    """Cut a table (L, C) to ``rows``, or repeat its last row up to there."""
    if table.shape[0] >= rows:
        return table[:rows]
    return torch.cat((table, table[-1:].expand(rows - table.shape[0], -1)))


def spatial_rows(q_size: int, k_size: int) -> int:
    """Rows a table of one spatial axis needs."""
    return 2 * max(q_size, k_size) - 1


def temporal_rows(frames: int, mem_len: int) -> int:
    """Rows of ``rel_pos_mem_t`` for T' = ``frames`` and M = ``mem_len``."""
    return 2 * frames + (mem_len - 1) * frames - 1


def spatial_index(num_q: int, num_k: int, q_size: int, k_size: int,
                  device: torch.device) -> Tensor:
    """Table row of each query-key pair along height or width.

    The ratios and the offset are those of the *shorter* side (``q_size``
    queries against ``k_size`` keys), whatever side is looked at; distances
    beyond that side's range are clamped into it. For square and landscape
    input this is what MeMViT does; portrait input is its mirror image. Long,
    (num_q, num_k).
    """
    # Grid sizes are powers of two apart in practice, so the ratios are whole;
    # where they are not, the product is floored as in MViT.
    q_ratio = max(k_size / q_size, 1.0)
    k_ratio = max(q_size / k_size, 1.0)
    q = torch.arange(num_q, device=device)[:, None] * q_ratio
    k = torch.arange(num_k, device=device)[None, :] * k_ratio
    largest = (q_size - 1) * q_ratio + (k_size - 1) * k_ratio
    index = q - k + (k_size - 1) * k_ratio
    return index.clamp(0., largest).long()


def spatial_tables(rel_h: Tensor, rel_w: Tensor, q_hw: Tuple[int, int],
                   k_hw: Tuple[int, int]) -> Tuple[Tensor, Tensor]:
    """Gather the height and width vectors of all pairs."""
    short = 0 if q_hw[0] <= q_hw[1] else 1
    q_size, k_size = q_hw[short], k_hw[short]
    rows = spatial_rows(q_size, k_size)
    return tuple(
        resize_table(table, rows)[spatial_index(num_q, num_k, q_size, k_size,
                                                table.device)]
        for table, num_q, num_k in zip((rel_h, rel_w), q_hw, k_hw))


def current_tables(rel_t: Tensor, rel_h: Tensor, rel_w: Tensor,
                   q_size: Tuple[int, int, int],
                   k_size: Tuple[int, int, int]) -> AxisTables:
    """Tables for the keys of the clip itself.

    ``rel_t`` is (2 T - 1, C), the others (rows, C), resized where the input
    asks for it; sizes are grids (T, H, W) of queries and keys.
    """
    frames = torch.arange(q_size[0], device=rel_t.device)
    index = frames[:, None] - frames[None, :] + q_size[0] - 1
    return AxisTables(rel_t[index],
                      *spatial_tables(rel_h, rel_w, q_size[1:], k_size[1:]))


def memory_tables(rel_t: Tensor, rel_h: Tensor, rel_w: Tensor,
                  q_size: Tuple[int, int, int], k_size: Tuple[int, int, int],
                  num_entries: int, stride_t: int) -> AxisTables:
    """Tables for the keys of the memory; ``t`` is (T, M T", C).

    Time runs over the frames of all attended entries, oldest first, aligned
    at the newest; real time between entries is ignored. ``rel_t`` is (2 T +
    (M - 1) T - 1, C), ``k_size`` the grid (T", H", W") of one entry,
    ``stride_t`` the compression's in time.
    """
    total = num_entries * k_size[0]
    q = torch.arange(q_size[0], device=rel_t.device)[:, None]
    k = torch.arange(total, device=rel_t.device)[None, :] * stride_t
    farthest = (total - 1) * stride_t
    # Not a clamped index, of which Inductor on a GPU makes an error.
    rel_t = extend_table(rel_t, q_size[0] + farthest)
    return AxisTables(rel_t[q - k + farthest],
                      *spatial_tables(rel_h, rel_w, q_size[1:], k_size[1:]))


def pair_tables(tables: Tuple[Tensor, ...], layout: Layout,
                stride_t: int) -> Tuple[AxisTables, Optional[AxisTables]]:
    """Vectors of all pairs, of the clip's keys and of the memory's (or None).

    ``tables`` are of time, height and width, (rows, C) each; with memory its
    three as well.
    """
    current = current_tables(*tables[:3], layout.q_size, layout.k_size)
    if not layout.num_entries:
        return current, None
    return current, memory_tables(*tables[3:], layout.q_size,
                                  layout.entry_size, layout.num_entries,
                                  stride_t)


@constant
def _folding_matrix(layout: Layout, rows: Tuple[int, ...], extra: int,
                   scale: float, stride_t: int, dtype: torch.dtype,
                   device: torch.device) -> Tensor:
    """Makes folded tables of the tables, by one product.

    Looking rows up, resizing and folding are linear, and the same each step:
    this is what they make of the identity, ((T + H + W) * E, sum of rows).
    """
    tables = torch.eye(sum(rows), dtype=torch.float64).split(rows)
    folded = fold_tables(*pair_tables(tables, layout, stride_t), extra)
    return (folded.flatten(0, 1) / scale).to(device, dtype)


def folding(
    tables: Tuple[Tensor, ...], layout: Layout, extra: int, scale: float,
    stride_t: int
) -> Tuple[Tuple[Tensor, ...], Optional[Tensor]]:
    """Tables and matrix for :func:`fused_attention`, E extra channels."""
    if is_compiling():
        pairs = pair_tables(tables, layout, stride_t)
        return (fold_tables(*pairs, extra) / scale, ), None
    like = tables[0]
    return tables, _folding_matrix(
        layout, tuple([len(x) for x in tables]), extra, scale, stride_t,
        like.dtype, like.device)
