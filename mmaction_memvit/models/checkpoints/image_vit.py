# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Fits image transformers of timm and MMPretrain to those of video."""
import re
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .loading import note
from .measure import State

# Each rule: a pattern of a key and what becomes of it.
_RULES = (
    # timm
    (r'patch_embed\.proj\.(\w+)', r'patch_embed.projection.\1'),
    # MMPretrain
    (r'(?:ln|norm)1\.(\w+)', r'norm.\1'),
    (r'layers\.(\d+)\.(?:ln|norm)([12])\.(\w+)', r'blocks.\1.norm\2.\3'),
    (r'layers\.(\d+)\.attn\.(qkv|proj)\.(\w+)', r'blocks.\1.attn.\2.\3'),
    (r'layers\.(\d+)\.ffn\.layers\.0\.0\.(\w+)', r'blocks.\1.mlp.fc1.\2'),
    (r'layers\.(\d+)\.ffn\.layers\.1\.(\w+)', r'blocks.\1.mlp.fc2.\2'),
)


def resize_positions(table: Tensor, grid: Tuple[int, int],
                     size: Tuple[int, int]) -> Tensor:
    """Resize a table of positions, bicubically.

    Args:
        table (Tensor): (1, 1 + H*W, C), the class token's first.
        grid (tuple[int]): (H, W).
        size (tuple[int]): (H', W').

    Returns:
        Tensor: (1, 1 + H'*W', C).
    """
    places = table[:, 1:].transpose(1, 2).unflatten(2, grid)
    places = F.interpolate(
        places, tuple(size), mode='bicubic', align_corners=False)
    return torch.cat((table[:, :1], places.flatten(2).transpose(1, 2)), 1)


def fit_image_vit(state: State, prefix: str, grid: Tuple[int, int]) -> None:
    """Make a checkpoint one of :class:`XViT`, in place.

    Args:
        state (dict): The state dict about to be loaded.
        prefix (str): Of the backbone's keys in it.
        grid (tuple[int]): Rows and columns of the backbone's patches.
    """
    used = []
    for key in [k for k in state if k.startswith(prefix)]:
        for pattern, name in _RULES:
            found = re.fullmatch(pattern, key[len(prefix):])
            if found:
                state[prefix + found.expand(name)] = state.pop(key)
                used.append(key)
                break
    if used:
        note('it is an image transformer in the layout of timm or MMPretrain',
             used)
    key = f'{prefix}pos_embed'
    table = state.get(key)
    if table is None or table.shape[1] == 1 + grid[0] * grid[1]:
        return
    side = round((table.shape[1] - 1)**0.5)
    if side**2 + 1 == table.shape[1]:
        state[key] = resize_positions(table, (side, side), grid)
        note(f'positions resized from {side}x{side} to {grid[0]}x{grid[1]}')
