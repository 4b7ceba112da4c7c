# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmaction_memvit.ops.constants import is_exporting
from mmaction_memvit.ops.precision import activation_dtype

from .linear import Linear, are_plain, cast_weights, linear_backward

# Tokens a CPU handles at a time in inference: the hidden layer then stays in
# its cache instead of being paged in anew (a third of the time at 56 x 56).
_CPU_CHUNK = 2048


class _MLP(torch.autograd.Function):
    """``linear(gelu(linear(x)))`` that does not keep what GELU gives.

    Autograd would, the widest tensor of a block; computing it once more is
    far cheaper than the products around it.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight1: Tensor, bias1: Optional[Tensor],
                weight2: Tensor, bias2: Optional[Tensor]) -> Tensor:
        hidden = F.linear(x, weight1, bias1)
        ctx.save_for_backward(x, hidden, weight1, bias1, weight2)
        return F.linear(F.gelu(hidden), weight2, bias2)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, hidden, weight1, bias1, weight2 = ctx.saved_tensors
        need_x, *needs = ctx.needs_input_grad
        if torch.is_grad_enabled():
            # What is kept has no graph, which second derivatives need.
            hidden = F.linear(x, weight1, bias1)
        hidden = hidden.flatten(0, -2)
        grad, *second = linear_backward(
            grad.reshape(-1, len(weight2)).to(hidden.dtype), F.gelu(hidden),
            weight2, (True, *needs[2:]))
        grad = torch.ops.aten.gelu_backward(grad, hidden)
        grad_x, *first = linear_backward(grad, x.flatten(0, -2), weight1,
                                         (need_x, *needs[:2]))
        return (None if grad_x is None else grad_x.view(x.shape), *first,
                *second)


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
        layers = self.fc1, self.fc2
        if not torch.is_grad_enabled() or is_exporting() \
                or not are_plain(layers):
            return self.fc2(F.gelu(self.fc1(x)))
        # Casting here keeps the function itself free of autocast.
        dtype = activation_dtype(x)
        return _MLP.apply(x.to(dtype), *cast_weights(layers, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        if (torch.is_grad_enabled() or is_exporting() or x.device.type != 'cpu'
            or x.numel() <= 2 * _CPU_CHUNK * x.shape[-1]):
            return self._forward(x)
        rows = x.flatten(0, -2)
        return torch.cat([self._forward(part)
                          for part in rows.split(_CPU_CHUNK)]).view_as(x)
