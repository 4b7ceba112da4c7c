# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whether what a model says of a time depends on what comes later."""
from __future__ import annotations

from typing import Callable

import numpy as np
import torch

# Of the change of the last token; below it is rounding.
_ROUNDING = 1e-4


def looks_ahead(score: Callable[[torch.Tensor], np.ndarray],
                clip: torch.Tensor) -> bool:
    """Whether tokens know of frames after them: tries it out.

    The frames of the last temporal token are replaced by noise; in a causal
    model nothing but its own scores change.

    Args:
        score (Callable): The model, deterministic and the same at each call:
            scores or features by temporal token, (T, C).
        clip (Tensor): What it takes, as transforms pack it: (views, C, T', H,
            W), or (T', C, H, W); of bytes or floats.

    Returns:
        bool: False for one token, which stands for the whole clip.
    """
    truth = np.asarray(score(clip))
    if truth.ndim != 2 or len(truth) < 2:
        return False
    dim = 2 if clip.ndim == 5 else 0
    length = clip.shape[dim]
    num = max(1, length // len(truth))
    changed = clip.clone()
    last = changed.narrow(dim, length - num, num)
    noise = torch.rand(last.shape, generator=torch.Generator().manual_seed(0))
    if clip.is_floating_point():
        last += noise.to(last) * (1 + last.abs().max())
    else:
        last.copy_(noise * 256)
    moved = np.abs(np.asarray(score(changed)) - truth).max(1)
    return bool(moved[:-1].max() > _ROUNDING * moved[-1])
