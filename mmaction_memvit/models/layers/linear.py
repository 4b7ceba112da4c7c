# Copyright (c) mmaction_memvit contributors. All rights reserved.
from threading import get_ident
from typing import Any, Callable, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch._utils import _unflatten_dense_tensors
from torch.nn.modules import module

from mmaction_memvit.ops.constants import is_compiling
from mmaction_memvit.ops.precision import activation_dtype

# Of all modules, by register_module_forward_hook and the like.
_HOOKS_OF_ALL = (module._global_forward_hooks,
                 module._global_forward_pre_hooks,
                 module._global_backward_hooks,
                 module._global_backward_pre_hooks)


class Linear(nn.Linear):
    """``nn.Linear`` that can be cast together with others."""

    # A thread, and weight and bias as cast by it: others may run without
    # autocast, or with gradients.
    _cast: tuple = ()

    def weights(self) -> Tuple[Tensor, Optional[Tensor]]:
        """Weight and bias, cast if :func:`cast_together` did so."""
        if self._cast and self._cast[0] == get_ident():
            return self._cast[1:]
        return self.weight, self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C_in) to (..., C_out)."""
        return F.linear(x, *self.weights())


def are_plain(layers: Sequence[nn.Module], kind: type = Linear) -> bool:
    """Whether nothing but their weights makes what layers compute.

    No hook, adapter or parametrization, nor a forward of a layer's own, as
    offloading has: such a layer must be called itself.
    """
    return not any(_HOOKS_OF_ALL) and all(
        type(x) is kind and not (
            x._forward_hooks or x._forward_pre_hooks or x._backward_hooks
            or x._backward_pre_hooks or 'forward' in x.__dict__)
        for x in layers)


def cast_weights(layers: Sequence[Linear], dtype: torch.dtype) -> List:
    """Weight, bias, weight, ... of layers, in a dtype."""
    return [x if x is None or x.dtype == dtype else x.to(dtype)
            for layer in layers for x in layer.weights()]


def linear_backward(grad: Tensor, x: Tensor, weight: Tensor,
                    needs: Sequence[bool]) -> Tuple[Optional[Tensor], ...]:
    """Gradients of x, weight and bias where needed, of rows (N, C)."""
    return (grad.mm(weight) if needs[0] else None,
            grad.t().mm(x) if needs[1] else None,
            grad.sum(0) if needs[2] else None)


class _Project(torch.autograd.Function):
    """Linear layers of some tokens each, as one node of the graph."""

    @staticmethod
    def forward(ctx, width: int, *args: Optional[Tensor]) -> Tuple:
        xs, weights, biases = args[::3], args[1::3], args[2::3]
        ctx.save_for_backward(*xs, *weights)
        return tuple([
            F.linear(x, weight, bias).view(*x.shape[:2], -1, width)
            for x, weight, bias in zip(xs, weights, biases)])

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tuple:
        num, needs, found = len(grads), ctx.needs_input_grad[1:], [None]
        saved = ctx.saved_tensors
        for i, (grad, x, weight) in enumerate(
                zip(grads, saved[:num], saved[num:])):
            dx, *params = linear_backward(
                grad.reshape(-1, weight.shape[0]), x.flatten(0, 1), weight,
                needs[3 * i:3 * i + 3])
            found += [None if dx is None else dx.view(x.shape), *params]
        return tuple(found)


def project(xs: Sequence[Tensor], layers: Sequence[nn.Module],
            width: int) -> Sequence[Tensor]:
    """Map x (B, N, C_in) by its layer to heads, (B, N, heads, width), each.

    The tokens come in autocast's dtype.
    """
    if not torch.is_grad_enabled() or is_compiling() \
            or torch.jit.is_tracing() or not are_plain(layers):
        return [layer(x).unflatten(-1, (-1, width))
                for x, layer in zip(xs, layers)]
    params = cast_weights(layers, xs[0].dtype)
    return _Project.apply(
        width, *[y for i, x in enumerate(xs)
                 for y in (x, *params[2 * i:2 * i + 2])])


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


def _holds_its_weights(layer: nn.Module) -> bool:
    """Whether weight and bias are as a layer will use them.

    An adapter may be in its place (LoRA); weights may be computed of others
    (pruning) or, sharded, be flat until the layer runs (FSDP).
    """
    own = layer._parameters
    return (type(layer) is Linear and [*own] == ['weight', 'bias']
            and own['weight'].dim() == 2)


def cast_together(layers: Sequence[nn.Module], call: Callable,
                  *args: Any) -> Any:
    """``call(*args)`` with weights of layers cast to autocast's dtype at once.

    Autocast casts each by itself: a third of what the host launches. The
    compiler needs no such help. The layers are on one device; what is no plain
    :class:`Linear` is left as it is.
    """
    if is_compiling() or torch.jit.is_tracing():
        return call(*args)
    layers = [x for x in layers if _holds_its_weights(x)]
    params = [x for layer in layers for x in layer._parameters.values()
              if x is not None]
    dtype = activation_dtype(params[0]) if params else None
    if set(map(type, params)) != {nn.Parameter} \
            or {x.dtype for x in params} != {torch.float32} - {dtype}:
        return call(*args)
    if torch.is_grad_enabled():
        cast = iter(_Cast.apply(dtype, *params))
    else:
        cast = iter(_cast_all(params, dtype))
    try:
        for layer in layers:
            # Past nn.Module, which looks for parameters at every turn.
            layer.__dict__['_cast'] = (get_ident(), *[
                x if x is None else next(cast)
                for x in layer._parameters.values()])
        return call(*args)
    finally:
        for layer in layers:
            layer.__dict__.pop('_cast', None)
