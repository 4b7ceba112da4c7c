# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmaction_memvit.ops.constants import is_exporting

from .linear import Linear

# Tokens a CPU handles at a time in inference: the hidden layer then stays in
# its cache instead of being paged in anew (a third of the time at 56 x 56).
_CPU_CHUNK = 2048


class _GELULinear(torch.autograd.Function):
    """``linear(gelu(x))`` that keeps only ``x`` for the backward pass.

    Autograd would keep ``gelu(x)`` as well, the widest tensor of a block;
    computing it once more is far cheaper than the products around it.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(F.gelu(x), weight, bias)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad = grad.to(x.dtype)
        rows = grad.flatten(0, -2)
        grad_weight = rows.t() @ F.gelu(x).flatten(0, -2)
        grad_x = torch.ops.aten.gelu_backward(grad @ weight, x)
        return grad_x, grad_weight, rows.sum(0)


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``linear(gelu(x), weight, bias)`` at half the activation memory.

    Of ``x`` (..., C_in), in its dtype.
    """
    if not torch.is_grad_enabled() or is_exporting():
        return F.linear(F.gelu(x), weight, bias)
    # Under autocast x comes in low precision; casting here keeps the function
    # itself free of autocast.
    return _GELULinear.apply(x, weight.to(x.dtype), bias.to(x.dtype))


class MLP(BaseModule):
    """Two linear layers with GELU between and dropout after each."""

    def __init__(self, dims: int, hidden_dims: int, drop: float = 0.) -> None:
        super().__init__()
        self.fc1 = Linear(dims, hidden_dims)
        self.fc2 = Linear(hidden_dims, dims)
        self.drop = drop

    def _forward(self, x: Tensor) -> Tensor:
        if self.training and self.drop:
            x = F.dropout(F.gelu(self.fc1(x)), self.drop)
            return F.dropout(self.fc2(x), self.drop)
        return gelu_linear(self.fc1(x), *self.fc2.weights())

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        if (torch.is_grad_enabled() or is_exporting() or x.device.type != 'cpu'
            or x.numel() <= 2 * _CPU_CHUNK * x.shape[-1]):
            return self._forward(x)
        rows = x.flatten(0, -2)
        return torch.cat([self._forward(part)
                          for part in rows.split(_CPU_CHUNK)]).view_as(x)
