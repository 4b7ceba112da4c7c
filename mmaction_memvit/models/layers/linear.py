# Copyright (c) mmaction_memvit contributors. All rights reserved.
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch._utils import _unflatten_dense_tensors

from mmaction_memvit.ops.constants import is_compiling
from mmaction_memvit.ops.precision import activation_dtype


class Linear(nn.Linear):
    """``nn.Linear`` that can be cast together with others."""

    _cast: Optional[Tuple[Tensor, Optional[Tensor]]] = None

    def weights(self) -> Tuple[Tensor, Optional[Tensor]]:
        """Weight and bias, cast if :func:`cast_together` did so."""
        return self._cast or (self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C_in) to (..., C_out)."""
        return F.linear(x, *self.weights())


class _Cast(torch.autograd.Function):
    """Casts of many tensors in few kernels, either way."""

    @staticmethod
    def forward(ctx, dtype: torch.dtype, *params: Tensor) -> Tuple:
        ctx.dtype = params[0].dtype
        ctx.set_materialize_grads(False)
        return tuple(_cast_all(params, dtype))

    @staticmethod
    def backward(ctx, *grads: Optional[Tensor]) -> Tuple:
        found = iter(_cast_all([x for x in grads if x is not None],
                               ctx.dtype))
        return None, *[None if x is None else next(found) for x in grads]


def _cast_all(tensors: Sequence[Tensor], dtype: torch.dtype) -> List[Tensor]:
    """In one buffer."""
    flat = tensors[0].new_empty(sum([x.numel() for x in tensors]), dtype=dtype)
    result = _unflatten_dense_tensors(flat, tensors)
    torch._foreach_copy_(result, tensors)
    return result


@contextmanager
def cast_together(layers: Sequence[Linear]) -> Iterator[None]:
    """Within, layers use weights that were cast to autocast's dtype at once.

    Autocast casts each by itself: a third of what the host launches. The
    compiler needs no such help. The layers are on one device.
    """
    params = [x for layer in layers for x in (layer.weight, layer.bias)
              if x is not None]
    dtype = activation_dtype(params[0])
    own = params[0].dtype
    if own == dtype or is_compiling() or torch.jit.is_tracing() or any(
            [type(x) is not nn.Parameter or x.dtype != own for x in params]):
        yield
        return
    if torch.is_grad_enabled():
        cast = iter(_Cast.apply(dtype, *params))
    else:
        cast = iter(_cast_all(params, dtype))
    try:
        for layer in layers:
            # Past nn.Module, which looks for parameters at every turn.
            layer.__dict__['_cast'] = (next(cast), None if layer.bias is None
                                       else next(cast))
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop('_cast', None)
