# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How operators are registered and which form of one is taken.

By the dispatcher's own registrations, which all of torch >= 2.1 have: eager
mode, autocast, fake tensors, ``torch.compile`` and export see one operator.
"""
import functools
import importlib.util
import os
import warnings
from typing import Callable

import torch
from torch import Tensor

_LIBRARY = torch.library.Library('memvit', 'DEF')

# '0': never Triton; '1': always (with TRITON_INTERPRET=1 on a CPU, too).
TRITON = os.environ.get('MEMVIT_TRITON', '')


def register(name: str, schema: str, kernel: Callable,
             fake: Callable) -> None:
    """Define ``memvit::name``.

    Args:
        name (str): Of the operator.
        schema (str): Arguments and results, as in native_functions.yaml.
        kernel (Callable): Computes it, on any device.
        fake (Callable): Makes empty results of the right shapes.
    """
    _LIBRARY.define(name + schema)

    @functools.wraps(kernel)
    def plain_precision(*args):
        # The precision was chosen before the call.
        with torch.autocast('cpu', enabled=False), torch.autocast(
                'cuda', enabled=False):
            return kernel(*args)

    # On every device: what has no kernels of its own computes the plain form.
    _LIBRARY.impl(name, plain_precision, 'CompositeExplicitAutograd')
    _LIBRARY.impl(name, fake, 'Meta')


def register_gradient(name: str, differentiable: Callable) -> None:
    """Give ``memvit::name`` a backward pass.

    Args:
        name (str): Of the operator.
        differentiable (Callable): An ``autograd.Function`` applied to the
            operator's arguments, whose forward calls the operator by
            :func:`below_autograd`.
    """
    _LIBRARY.impl(name, differentiable, 'Autograd')


def below_autograd(name: str, *args):
    """Call ``memvit::name`` from its own backward registration."""
    with torch._C._AutoDispatchBelowAutograd():
        return getattr(torch.ops.memvit, name)(*args)


@functools.lru_cache(None)
def _can_triton(device: torch.device, dtype: torch.dtype) -> bool:
    if importlib.util.find_spec('triton') is None or device.type != 'cuda':
        return False
    need = (8, 0) if dtype == torch.bfloat16 else (7, 0)
    return (torch.cuda.get_device_capability(device) >= need
            and _triton_runs(device))


@functools.lru_cache(None)
def _triton_runs(device: torch.device) -> bool:
    """Whether a first kernel can be built: Triton wants a C compiler."""
    from .triton_layer_norm import forward
    ones = torch.ones(1, 16, device=device)
    try:
        forward(ones, ones[0], ones[0], 1e-6)
    except Exception as error:
        warnings.warn(
            f'Triton is installed but builds no kernel ({error}); slower '
            'plain operators are used. Remedy: install a C compiler and '
            "Python's headers (gcc, python3-dev), or set MEMVIT_TRITON=0 to "
            'keep the plain operators without this warning.')
        return False
    return True


def use_triton(x: Tensor) -> bool:
    """Whether Triton's form is taken for ``x``; it counts in float32."""
    if TRITON == '0' or x.dtype == torch.float64:
        return False
    return TRITON == '1' or _can_triton(x.device, x.dtype)
