# Copyright (c) mmaction_memvit contributors. All rights reserved.
from contextlib import nullcontext
from typing import ContextManager

import torch
from torch import Tensor

# Since torch 2.4 one function tells of every device.
_BY_DEVICE = hasattr(torch, 'get_autocast_dtype')


def autocast_is_on(device: str) -> bool:
    """Whether autocast is on for a type of device."""
    if device == 'meta':
        return False
    if _BY_DEVICE:
        return torch.is_autocast_enabled(device)
    if device == 'cpu':
        return torch.is_autocast_cpu_enabled()
    return device == 'cuda' and torch.is_autocast_enabled()


def activation_dtype(x: Tensor) -> torch.dtype:
    """What a layer makes of ``x``: autocast's dtype where that is on."""
    device = x.device.type
    if not autocast_is_on(device):
        return x.dtype
    if _BY_DEVICE:
        return torch.get_autocast_dtype(device)
    return (torch.get_autocast_cpu_dtype()
            if device == 'cpu' else torch.get_autocast_gpu_dtype())


def statistics_dtype(x: Tensor) -> torch.dtype:
    """Dtype of means and deviations: float32, or float64 for float64."""
    return torch.promote_types(x.dtype, torch.float32)


def full_precision(x: Tensor) -> ContextManager:
    """Context without autocast, which a device without data has none of."""
    if x.is_meta:
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
