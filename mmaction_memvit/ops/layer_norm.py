# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .constants import is_exporting
from .library import below_autograd, call, register, triton_form
from .precision import statistics_dtype


def layer_norm_definition(x: Tensor, gamma: Tensor, beta: Tensor,
                          eps: float) -> Tensor:
    """What :func:`layer_norm` computes, in plain PyTorch."""
    dtype = statistics_dtype(x)
    return F.layer_norm(x.to(dtype), gamma.shape, gamma.to(dtype),
                        beta.to(dtype), eps).to(x.dtype)


def add_layer_norm_definition(
        x: Tensor, branch: Optional[Tensor], scale: Optional[Tensor],
        gamma: Tensor, beta: Tensor, eps: float) -> Tuple[Tensor, Tensor]:
    """What :func:`add_layer_norm` computes, in plain PyTorch."""
    if branch is not None and scale is not None:
        branch = branch * scale.view(-1, *[1] * (branch.dim() - 1))
    total = x if branch is None else x + branch.to(x.dtype)
    return total, layer_norm_definition(total, gamma, beta, eps)


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor,
               eps: float = 1e-6) -> Tensor:
    """LayerNorm over the last dimension that keeps the dtype of ``x``.

    Statistics are float32 (float64 for float64), under autocast too: bfloat16
    comes in and goes out.

    Args:
        x (Tensor): (..., C).
        gamma (Tensor): (C, ).
        beta (Tensor): (C, ).
        eps (float): Defaults to 1e-6.

    Returns:
        Tensor: (..., C), contiguous.
    """
    return add_layer_norm(x, None, gamma, beta, eps)[1]


def add_layer_norm(x: Tensor, branch: Optional[Tensor], gamma: Tensor,
                   beta: Tensor, eps: float = 1e-6,
                   scale: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
    """Add a residual branch, and normalise the sum.

    Args:
        x (Tensor): (B, ..., C).
        branch (Tensor, optional): Of the same shape; None adds nothing.
        gamma (Tensor): (C, ).
        beta (Tensor): (C, ).
        eps (float): Defaults to 1e-6.
        scale (Tensor, optional): (B, ), what to scale the branch by
            (stochastic depth); it gets no gradient. Defaults to None.

    Returns:
        tuple[Tensor]: The sum and the normalised sum, both in the dtype of
        x, contiguous (without a branch the first is x).
    """
    if is_exporting():
        return add_layer_norm_definition(x, branch, scale, gamma, beta, eps)
    total, out, *_ = call('layer_norm', x, branch, scale, gamma, beta, eps)
    return x if branch is None else total, out


# ------------------------------------------------------------- plain PyTorch
def norm_rows(x: Tensor, gamma: Tensor, beta: Tensor,
              eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    """Plain LayerNorm of contiguous x: result, means, inverse deviations."""
    dtype, shape = statistics_dtype(x), list(gamma.shape)
    gamma, beta = gamma.to(dtype), beta.to(dtype)
    # CPU kernels take bfloat16 with float32 parameters; no copy is needed.
    mixed = x.device.type == 'cpu' and x.dtype == torch.bfloat16
    out, mean, rstd = torch.native_layer_norm(
        x if mixed else x.to(dtype), shape, gamma, beta, eps)
    return out.to(x.dtype), mean.squeeze(-1), rstd.squeeze(-1)


def norm_rows_backward(grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor,
                       gamma: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Plain backward of :func:`norm_rows`."""
    dtype = statistics_dtype(x)
    mixed = x.device.type == 'cpu' and x.dtype == torch.bfloat16
    rows = x if mixed else x.to(dtype)
    weight = gamma.to(dtype)
    dx, dgamma, dbeta = torch.ops.aten.native_layer_norm_backward(
        grad.to(rows.dtype).contiguous(), rows, list(gamma.shape),
        mean.unsqueeze(-1), rstd.unsqueeze(-1), weight, weight,
        [True, True, True])
    return dx.to(x.dtype), dgamma.to(gamma.dtype), dbeta.to(gamma.dtype)


# ------------------------------------------------------------- the operator
def _forward(
        x: Tensor, branch: Optional[Tensor], scale: Optional[Tensor],
        gamma: Tensor, beta: Tensor,
        eps: float) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum (empty without a branch), result, means, inverse deviations."""
    x = x.contiguous()
    form = triton_form(x, 'triton_layer_norm')
    if form:
        return form.forward(x, branch, scale, gamma, beta, eps)
    if branch is None:
        return (x.new_empty(0), *norm_rows(x, gamma, beta, eps))
    branch = branch.to(x.dtype)
    if scale is None:
        total = x + branch
    else:
        total = torch.addcmul(x, branch, per_lane(scale, x))
    total = total.contiguous()
    return (total, *norm_rows(total, gamma, beta, eps))


def per_lane(scale: Tensor, x: Tensor) -> Tensor:
    """A number for each lane, (B, ), to multiply x (B, ...) by."""
    return scale.to(x.dtype).view(-1, *[1] * (x.dim() - 1))


def _fake(x, branch, scale, gamma, beta, eps):
    stats = x.new_empty(x.shape[:-1], dtype=statistics_dtype(x))
    return (x.new_empty(0 if branch is None else x.shape),
            x.new_empty(x.shape), stats, torch.empty_like(stats))


def _backward(grad: Tensor, grad_total: Optional[Tensor], total: Tensor,
              scale: Optional[Tensor], mean: Tensor, rstd: Tensor,
              gamma: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, of the scaled branch (empty: that of x), parameters."""
    grad, total = grad.contiguous(), total.contiguous()
    # Of second derivatives only PyTorch keeps the graph.
    if not torch.is_grad_enabled() and (form := triton_form(
            total, 'triton_layer_norm')):
        if grad_total is not None:
            grad_total = grad_total.contiguous()
        return form.backward(grad, grad_total, total, scale, mean, rstd, gamma)
    dx, dgamma, dbeta = norm_rows_backward(grad, total, mean, rstd, gamma)
    if grad_total is not None:
        dx += grad_total
    dbranch = dx.new_empty(0) if scale is None else dx * per_lane(scale, dx)
    return dx, dbranch, dgamma, dbeta


def _backward_fake(grad, grad_total, total, scale, mean, rstd, gamma):
    branch = total.new_empty(0 if scale is None else total.shape)
    return (total.new_empty(total.shape), branch, torch.empty_like(gamma),
            torch.empty_like(gamma))


class _LayerNorm(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x, branch, scale, gamma, beta, eps):
        total, out, mean, rstd = below_autograd('layer_norm', x, branch, scale,
                                                gamma, beta, eps)
        none = branch is None
        ctx.save_for_backward(x if none else total, scale, mean, rstd, gamma)
        ctx.mark_non_differentiable(mean, rstd, *[total] * none)
        # Zeros for what is no result would be a kernel each.
        ctx.set_materialize_grads(False)
        ctx.branch_dtype = None if none else branch.dtype
        return total, out, mean, rstd

    @staticmethod
    def backward(ctx, grad_total, grad, *_):
        # Once: a checkpoint gives them out no second time.
        total, scale, *saved = ctx.saved_tensors
        if grad is None:
            grad = torch.zeros_like(total)
        dx, branch, dgamma, dbeta = call('layer_norm_backward', grad,
                                         grad_total, total, scale, *saved)
        if ctx.branch_dtype is None:
            branch = None
        else:
            branch = (dx if scale is None else branch).to(ctx.branch_dtype)
        return dx, branch, None, dgamma, dbeta, None


register(
    'layer_norm', '(Tensor x, Tensor? branch, Tensor? scale, Tensor gamma, '
    'Tensor beta, float eps) -> (Tensor, Tensor, Tensor, Tensor)', _forward,
    _fake, _LayerNorm.apply)
register(
    'layer_norm_backward', '(Tensor grad, Tensor? grad_total, Tensor total,'
    ' Tensor? scale, Tensor mean, Tensor rstd, Tensor gamma) -> '
    '(Tensor, Tensor, Tensor, Tensor)', _backward, _backward_fake)
