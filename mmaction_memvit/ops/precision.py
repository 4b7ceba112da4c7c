# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch
from torch import Tensor


def activation_dtype(x: Tensor) -> torch.dtype:
    """What a layer makes of ``x``: autocast's dtype where that is on."""
    device = x.device.type
    if not hasattr(torch, 'get_autocast_dtype'):  # torch < 2.4
        if device == 'cuda' and torch.is_autocast_enabled():
            return torch.get_autocast_gpu_dtype()
        if device == 'cpu' and torch.is_autocast_cpu_enabled():
            return torch.get_autocast_cpu_dtype()
    elif torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def statistics_dtype(x: Tensor) -> torch.dtype:
    """Dtype of means and deviations: float32, or float64 for float64."""
    return torch.promote_types(x.dtype, torch.float32)
