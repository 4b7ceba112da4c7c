# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Sequence, Union

import torch.nn.functional as F
from torch import Tensor, cat

Features = Union[Tensor, Sequence]


def feature_vectors(x: Features, per_frame: bool = False) -> Tensor:
    """What any backbone of MMAction2 gives, as vectors in order of time.

    Args:
        x (Tensor | Sequence): (B, C, T', H', W'), (B, C, H', W') or (B, C);
            of paths such as SlowFast's, their tensors, which are put side by
            side; of :class:`MViT` and :class:`MeMViT`, scales of ``[patch,
            cls]`` tokens, of which the last counts.
        per_frame (bool): Whether to give a vector for each temporal place T'
            (of paths: of the first one) rather than one for the clip, which
            is the class token where there is one, else the mean. Defaults to
            False.

    Returns:
        Tensor: (B, T', C), T' = 1 for clips; C is the sum of all paths.

    Raises:
        ValueError: If features have another number of dimensions.
    """
    if not isinstance(x, Tensor):
        if isinstance(x[-1], (tuple, list)):
            patch, *cls = x[-1]
            return feature_vectors(
                patch if per_frame or not cls else cls[0], per_frame)
        paths = [feature_vectors(path, per_frame) for path in x]
        length = paths[0].shape[1]
        return cat([_resample(path, length) for path in paths], -1)
    if x.ndim not in (2, 4, 5):
        raise ValueError(
            f'features of shape {tuple(x.shape)} are neither (B, C), (B, C, '
            'H, W) nor (B, C, T, H, W): have the backbone give one of these')
    if x.ndim == 5:
        x = x.mean((3, 4)) if per_frame else x.mean((2, 3, 4))
    elif x.ndim == 4:
        x = x.mean((2, 3))
    return x.transpose(1, 2) if x.ndim == 3 else x[:, None]


def _resample(x: Tensor, length: int) -> Tensor:
    """Vectors (B, T, C), averaged to another number of places."""
    if x.shape[1] == length:
        return x
    return F.adaptive_avg_pool1d(x.transpose(1, 2), length).transpose(1, 2)
