# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a step dispatches, computes, keeps, launches and waits for."""
import os
import sys
import warnings
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, NamedTuple, Tuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

# Operators after which the host waits for a GPU.
WAITING = ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal',
           'unique_dim', '_unique2', 'unique_consecutive')


class OperatorCounter(TorchDispatchMode):
    """Counts dispatched operators, a custom operator as one.

    Attributes:
        operators (int): Dispatched ones that are no views.
        waiting (int): Those after which the host waits for a GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.waiting = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        schema = func._schema
        name = schema.name.split('::')[-1]
        # A view gives its input's memory another shape.
        self.operators += name != '_unsafe_view' and not any(
            x.alias_info is not None and not x.alias_info.is_write
            for x in schema.returns)
        self.waiting += name in WAITING or name == 'index' and any(
            x is not None and x.dtype == torch.bool for x in args[1])
        return func(*args, **kwargs or {})


def saved_bytes(run: Callable[[], object], model: nn.Module) -> int:
    """Bytes autograd keeps for the backward pass, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: Dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        # Holding the tensor keeps its address from being used again.
        kept[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = run()
    del result
    return sum(x.untyped_storage().nbytes() for ptr, x in kept.items()
               if ptr not in own)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Hides what libraries print there, as the profiler does at each use."""
    sys.stderr.flush()
    before = os.dup(2)
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def peak_bytes(step: Callable[[], object]) -> int:
    """Most bytes that a step on the CPU holds beyond what was there."""
    from torch.profiler import ProfilerActivity, profile
    with silent_stderr(), profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        step()
    held = peak = 0
    for event in prof.profiler.kineto_results.events():
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def tensors_of(node: object) -> Iterator[Tensor]:
    """Tensors of a memory: within sequences, dicts and data classes."""
    if torch.is_tensor(node):
        yield node
    elif isinstance(node, dict):
        for x in node.values():
            yield from tensors_of(x)
    elif isinstance(node, (tuple, list)):
        for x in node:
            yield from tensors_of(x)
    elif hasattr(node, '__dict__'):
        yield from tensors_of(vars(node))


def synchronisations(step: Callable[[], object]) -> int:
    """How often the host waits for the GPU in a step."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return sum('synchroniz' in str(x.message) for x in caught)


class DeviceWork(NamedTuple):
    """What a GPU does in a step."""

    launches: float  # kernels, copies and fills
    busy: float  # share of the time in which any of them runs


def device_work(step: Callable[[], object], steps: int = 2) -> DeviceWork:
    """Profile some steps on a GPU."""
    from torch.profiler import ProfilerActivity, profile
    torch.cuda.synchronize()
    # The host is watched only as far as it launches: it would be slowed.
    with profile(activities=[ProfilerActivity.CUDA]) as prof:
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
    spans = sorted(
        (x.time_range.start, x.time_range.end) for x in prof.events()
        if x.device_type == torch.autograd.DeviceType.CUDA)
    if not spans:
        return DeviceWork(0., 0.)
    busy, end = 0., spans[0][0]
    for start, stop in spans:
        busy += max(0., stop - max(start, end))
        end = max(end, stop)
    return DeviceWork(len(spans) / steps, busy / (end - spans[0][0] or 1.))


def ceiling(device: torch.device, dtype: torch.dtype,
            clock: Callable[[Callable, int], float]) -> Tuple[int, float]:
    """Size of a square matrix product, and the TFLOP/s it reaches."""
    n = 8192 if device.type == 'cuda' else 1024
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    milliseconds = min(clock(lambda: a @ b, 3) for _ in range(5))
    return n, 2 * n**3 / milliseconds / 1e9
