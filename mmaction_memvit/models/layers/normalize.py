# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The operator :func:`add_layer_norm` in the place of norm layers."""
from typing import Optional, Tuple

import torch.nn as nn
from torch import Tensor

from mmaction_memvit.ops import add_layer_norm
from mmaction_memvit.ops.constants import is_compiling

from .linear import are_plain
from .stochastic_depth import add_branch


def add_normalize(norm: nn.Module, x: Tensor, branch: Optional[Tensor] = None,
                  keep: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
    """:func:`add_layer_norm` with the parameters of a layer.

    What has hooks (Grad-CAM), or is no plain ``nn.LayerNorm`` with weight and
    bias, is called.
    """
    if type(norm) is nn.LayerNorm and norm.bias is not None and (
            is_compiling() or are_plain((norm, ), nn.LayerNorm)):
        return add_layer_norm(x, branch, norm.weight, norm.bias, norm.eps,
                              keep)
    total = x if branch is None else add_branch(x, branch, keep)
    return total, norm(total).to(total.dtype)


def normalize(norm: nn.Module, x: Tensor) -> Tensor:
    """``norm(x)`` in the dtype of ``x``, whatever autocast says."""
    return add_normalize(norm, x)[1]
