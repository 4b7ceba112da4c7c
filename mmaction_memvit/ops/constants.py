# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tensors that follow from shapes alone: made once, not once a step."""
import functools
from collections import OrderedDict
from typing import Callable, Dict, List

import torch
from torch import Tensor

# MeMViT-16 keeps 22 a frame size, of 1 to 2 MB; frames of ever new sizes must
# not fill the device.
_LIMIT = 512
_made: Dict[tuple, Tensor] = OrderedDict()


# Whether ``torch.compile`` traces; torch < 2.3 tells it elsewhere.
is_compiling = getattr(torch.compiler, 'is_compiling', None) or \
    torch._dynamo.is_compiling
# Whether ``torch.export`` looks on; torch < 2.7 does not tell.
_is_exported = getattr(torch.compiler, 'is_exporting', lambda: False)


def is_exporting() -> bool:
    """Whether ``torch.jit.trace`` or ``torch.export`` looks on.

    What they make runs without this package, so without its operators.
    """
    return torch.jit.is_tracing() or _is_exported()


def constant(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorator of functions from hashable arguments to a tensor.

    What was made is kept, by the arguments, outside of autograd and of any
    module: weights may change, move or be copied. The result is shared: never
    write to it. ``torch.compile`` makes it within its graph, in kernels it
    needs anyway.

    Args:
        make (Callable): Its last two arguments are dtype and device.

    Returns:
        Callable: The same, with a memory.
    """

    @functools.wraps(make)
    def get(*args) -> Tensor:
        if is_compiling():
            return make(*args)
        key = (make, *args)
        if key in _made:
            _made.move_to_end(key)
            return _made[key]
        # Not an inference tensor, which training could not use later.
        with torch.inference_mode(False), torch.no_grad():
            value = make(*args)
        # One made under a mode of fake tensors is of no use outside.
        if type(value) is Tensor:
            _made[key] = value
        while len(_made) > _LIMIT:
            _made.popitem(last=False)
        return value

    return get


def all_constants() -> List[Tensor]:
    """What is kept now. A CUDA graph has to keep it too."""
    return list(_made.values())
