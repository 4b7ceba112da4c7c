# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features as backbones give them: tensors in nested sequences."""
from typing import Callable, List

import torch
from torch import Tensor


def concat_features(parts: List) -> object:
    """Join features of parts of a batch; tensors in nested sequences."""
    if len(parts) == 1:
        return parts[0]
    if torch.is_tensor(parts[0]):
        return torch.cat(parts)
    return type(parts[0])(concat_features(list(x)) for x in zip(*parts))


def map_features(fn: Callable[[Tensor], Tensor], feats: object) -> object:
    """Apply ``fn`` to the tensors in nested sequences."""
    if torch.is_tensor(feats):
        return fn(feats)
    return type(feats)(map_features(fn, x) for x in feats)


def num_entries(feats: object) -> int:
    """Entries of the batch that features are of."""
    while not torch.is_tensor(feats):
        feats = feats[-1]
    return len(feats)
