# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How operators are registered and which form of one is taken.

By the dispatcher's own registrations, which all of torch >= 2.1 have: eager
mode, autocast, fake tensors, ``torch.compile`` and export see one operator.
"""
import functools
import importlib
import importlib.util
import os
import warnings
from types import ModuleType
from typing import (
    Callable,
    ContextManager,
    Dict,
    Optional,
    Sequence,
    Union,
)

import torch
from torch import Tensor

from .constants import is_compiling

_LIBRARY = torch.library.Library('memvit', 'DEF')

# '0': never Triton; '1': always (with TRITON_INTERPRET=1 on a CPU, too).
TRITON = os.environ.get('MEMVIT_TRITON', '')


_KERNELS: Dict[str, Callable] = {}
_DIFFERENTIABLE: Dict[str, Callable] = {}
_AUTOCAST = torch._C.DispatchKeySet(
    torch._C.DispatchKey.AutocastCUDA) | torch._C.DispatchKeySet(
        torch._C.DispatchKey.AutocastCPU)
_PLAIN = {Tensor, torch.nn.Parameter}


def without_autocast() -> ContextManager:
    """As ``torch.autocast(enabled=False)``, which costs the host 5 us."""
    return torch._C._ExcludeDispatchKeyGuard(_AUTOCAST)


def register(name: str, schema: str, kernel: Callable, fake: Callable,
             differentiable: Optional[Callable] = None) -> None:
    """Define ``memvit::name``.

    Args:
        name (str): Of the operator.
        schema (str): Arguments and results, as in native_functions.yaml.
        kernel (Callable): Computes it, on any device.
        fake (Callable): Makes empty results of the right shapes.
        differentiable (Callable, optional): An ``autograd.Function`` applied
            to the operator's arguments, whose forward calls the operator by
            :func:`below_autograd`. Defaults to None.
    """
    _LIBRARY.define(name + schema)

    @functools.wraps(kernel)
    def plain_precision(*args):
        # The precision was chosen before the call.
        with without_autocast():
            return kernel(*args)

    _KERNELS[name] = plain_precision
    # On every device: what has no kernels of its own computes the plain form.
    _LIBRARY.impl(name, plain_precision, 'CompositeExplicitAutograd')
    _LIBRARY.impl(name, fake, 'Meta')
    if differentiable is None:
        return

    _DIFFERENTIABLE[name] = differentiable
    # Without gradients, too: a tangent of torch.func.jvp must not get lost.
    _LIBRARY.impl(name, differentiable, 'Autograd')


def _unseen(x: Union[Tensor, Sequence[Tensor]]) -> bool:
    """Whether nobody looks on: no mode, transform or tensor of a kind.

    The dispatcher then does nothing but cost the host 20 us a call, which a
    GPU's kernels do not take. The first argument speaks for all.
    """
    kind = type(x)
    if kind is list or kind is tuple:
        kind = type(x[0])
    return kind in _PLAIN and not (
        torch._C._len_torch_dispatch_stack()
        or torch._C._are_functorch_transforms_active())


def call(name: str, *args):
    """Call ``memvit::name``."""
    if is_compiling() or not _unseen(args[0]):
        return getattr(torch.ops.memvit, name)(*args)
    if torch.is_grad_enabled() and name in _DIFFERENTIABLE:
        return _DIFFERENTIABLE[name](*args)
    return _KERNELS[name](*args)


def below_autograd(name: str, *args):
    """Call ``memvit::name`` from its own backward registration."""
    if _unseen(args[0]):
        return _KERNELS[name](*args)
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
        forward(ones, None, None, ones[0], ones[0], 1e-6)
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


_import = functools.lru_cache(None)(importlib.import_module)


def triton_form(x: Tensor, name: str) -> Optional[ModuleType]:
    """The module of a name if Triton's form is taken, else None."""
    return _import(f'.{name}', __package__) if use_triton(x) else None
