# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Tuple

import torch
from torch import Tensor

#: Weighted values (B, heads, Q, C), weights (B, heads, Q), and the logarithm
#: (B, heads, Q) of what both are to be multiplied with.
Sums = Tuple[Tensor, Tensor, Tensor]


def running_attention(q: Tensor, k: Tensor, v: Tensor, ages: Tensor,
                      since: Tensor, sums: Sums,
                      rate: float) -> Tuple[Tensor, Sums]:
    r"""Attention of constant queries to an endless past that fades.

    The Laplace kernel of `TeSTra <https://arxiv.org/abs/2209.09236>`_: at
    vector i of a stream, sum_j w_ij v_j / sum_j w_ij over all j up to i, with
    w_ij = exp(q . k_j / sqrt(C) - rate * age_ij). Both sums follow from those
    at the vector before, so the past takes no memory. They are kept relative
    to their largest exponent so far.

    Args:
        q (Tensor): (1, heads, Q, C).
        k (Tensor): Of T new vectors, (B, heads, T, C).
        v (Tensor): Likewise.
        ages (Tensor): (B, T, T) seconds from vector j (last) to vector i.
        since (Tensor): (B, T) seconds from the last vector before to i.
        sums (tuple[Tensor]): What was added up until then, of zeros at first.
        rate (float): How fast weights fall, 1 / s.

    Returns:
        tuple: (B, T, Q, heads * C), and the next sums, float32.
    """
    q, k, v = (x.float() for x in (q, k, v))
    values, weights, top = sums
    scores = q @ k.transpose(2, 3) * q.shape[-1]**-0.5
    future = torch.ones_like(ages[0], dtype=torch.bool).triu(1)
    new = scores[..., None, :] - rate * ages[:, None, None]
    new = new.masked_fill(future, float('-inf'))  # (B, heads, Q, T, T)
    # A stream that starts has weights of 0.
    old = torch.where(weights > 0, top, float('-inf'))[
        ..., None] - rate * since[:, None, None]
    top = torch.maximum(new.amax(-1), old).detach()
    new, old = (new - top[..., None]).exp(), (old - top).exp()
    weights = new.sum(-1) + old * weights[..., None]
    size = new.shape[2:4]
    values = (new.flatten(2, 3) @ v).unflatten(
        2, size) + old[..., None] * values[:, :, :, None]
    out = (values / weights[..., None]).permute(0, 3, 2, 1, 4).flatten(3)
    return out, (values[:, :, :, -1], weights[..., -1], top[..., -1])
