# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What attention is, term by term: for counting, exporting and tests."""
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention_channels import AxisTables, Layout, num_tokens


def _axis_scores(q: Tensor,
                 tables: AxisTables) -> Tuple[Tensor, Tensor, Tensor]:
    """Inner products of queries with the position vectors of each axis.

    Args:
        q (Tensor): (B, T, H, W, heads, C), contiguous.
        tables (AxisTables): Of (T, K_t, C), (H, K_h, C) and (W, K_w, C).

    Returns:
        tuple[Tensor]: (B, T, H, W, heads, K) for K of K_t, K_h and K_w.
    """
    b, t, h, w, n, c = q.shape
    by_t, by_h, by_w = [x.transpose(1, 2) for x in tables]
    # (B, T, H*W*n, C) x (T, C, K)
    score_t = torch.matmul(q.view(b, t, h * w * n, c), by_t)
    # (B*T, H, W*n, C) x (H, C, K)
    score_h = torch.matmul(q.view(b * t, h, w * n, c), by_h)
    # (W*n, B*T*H, C) x (W*n, C, K)
    score_w = torch.matmul(
        q.view(b * t * h, w * n, c).transpose(0, 1),
        by_w[:, None].expand(-1, n, -1, -1).flatten(0, 1)).transpose(0, 1)
    return tuple(x.reshape(b, t, h, w, n, -1)
                 for x in (score_t, score_h, score_w))


def _pair_scores(q: Tensor, current: AxisTables,
                 memory: Optional[AxisTables], layout: Layout) -> Tensor:
    """Position scores of all pairs of a grid query and a key.

    Returns:
        Tensor: (B, heads, T*H*W, K).
    """

    def scores(tables: AxisTables, causal: bool) -> Tensor:
        s_t, s_h, s_w = _axis_scores(
            q, AxisTables(*(x.to(q.dtype) for x in tables)))
        if causal:
            frames = s_t.shape[1]
            future = torch.ones(
                frames, frames, dtype=torch.bool, device=q.device).triu(1)
            s_t = s_t.masked_fill(
                future.view(1, frames, 1, 1, 1, frames), float('-inf'))
        # (B, T, H, W, n, K) each -> (B, n, T*H*W, K_t, K_h, K_w)
        s_t, s_h, s_w = (
            x.movedim(4, 1).flatten(2, 4) for x in (s_t, s_h, s_w))
        return (s_t[..., :, None, None] + s_h[..., None, :, None] +
                s_w[..., None, None, :])

    pairs = F.pad(scores(current, layout.causal).flatten(3), (1, 0))
    if memory is None:
        return pairs
    # (B, n, N, M*T", H", W") -> (B, n, N, M, 1 + T"*H"*W")
    past = scores(memory, False).unflatten(
        3, (layout.num_entries, -1)).flatten(4)
    return torch.cat((F.pad(past, (1, 0)).flatten(3), pairs), dim=-1)


def attention_weights(q: Tensor, k: Tensor, current: AxisTables,
                      memory: Optional[AxisTables], hidden: Optional[Tensor],
                      layout: Layout, scale: float) -> Tensor:
    """How much each query attends to each key.

    Args:
        q (Tensor): Queries, (B, 1 + T*H*W, heads, C).
        k (Tensor): Keys, (B, K, heads, C), in the order of the layout.
        current (AxisTables): Vectors of the current clip's keys.
        memory (AxisTables, optional): Vectors of the memory's keys.
        hidden (Tensor, optional): Bool, (B, M), True for entries to ignore.
        layout (Layout): Which queries and keys there are.
        scale (float): Of q.k; the position terms are not scaled.

    Returns:
        Tensor: (B, heads, 1 + T*H*W, K); those of a query add up to 1.
    """
    scores = torch.matmul(q.transpose(1, 2) * scale, k.permute(0, 2, 3, 1))
    grid = q[:, 1:].contiguous()
    pairs = _pair_scores(
        grid.unflatten(1, layout.q_size), current, memory, layout)
    # The class query has no position.
    scores = scores + F.pad(pairs, (0, 0, 1, 0))
    tokens, own = num_tokens(layout)
    ignore = torch.zeros(len(k), own, dtype=torch.bool, device=k.device)
    if layout.causal:
        ignore[:, 0] = True
    if hidden is not None:
        past = hidden[:, :, None].expand(-1, -1, tokens).flatten(1)
        ignore = torch.cat((past, ignore), dim=1)
    scores = scores.masked_fill(ignore[:, None, None], float('-inf'))
    return scores.softmax(dim=-1)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, current: AxisTables,
                       memory: Optional[AxisTables], hidden: Optional[Tensor],
                       layout: Layout, scale: float, residual: bool) -> Tensor:
    """The same as :func:`fused_attention`; stores the scores.

    ``current``, ``memory`` and ``hidden`` as :func:`attention_weights`.
    """
    weights = attention_weights(q, k, current, memory, hidden, layout, scale)
    out = torch.matmul(weights, v.transpose(1, 2)).transpose(1, 2)
    if residual:
        out = torch.cat((out[:, :1], out[:, 1:] + q[:, 1:]), dim=1)
    return out
