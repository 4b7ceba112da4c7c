# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Residual branches that are left out by chance, lane by lane."""
from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from mmaction_memvit.ops.constants import constant
from mmaction_memvit.ops.layer_norm import per_lane


@constant
def _keep_rates(rates: Tuple[float, ...], batch_size: int, dtype: torch.dtype,
                device: torch.device) -> Tensor:
    keep = 1 - torch.tensor(rates, dtype=dtype, device=device)
    return keep[:, None].expand(-1, batch_size).contiguous()


def stochastic_depth(blocks: Sequence[nn.Module],
                     x: Tensor) -> List[Optional[Tensor]]:
    """What to scale the branches of blocks by, two a block: (B, ) or None.

    ``x`` (B, ...) has dtype and device; all are drawn at once.
    """
    rates = [block.drop_path if block.training else 0. for block in blocks
             for _ in range(2)]
    some = tuple(rate for rate in rates if rate)
    if not some:
        return [None] * len(rates)
    keep = _keep_rates(some, x.shape[0], x.dtype, x.device)
    drawn = iter((torch.bernoulli(keep) / keep).unbind())
    return [next(drawn) if rate else None for rate in rates]


def add_branch(x: Tensor, branch: Tensor, keep: Optional[Tensor]) -> Tensor:
    """:func:`add_layer_norm` without the norm."""
    if keep is None:
        return x + branch
    return torch.addcmul(x, branch, per_lane(keep, x))
