# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Fits checkpoints to backbones: their names, their tables of positions."""
import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Dict, List, Tuple

import torch
import torch.nn.functional as F
from mmengine.runner import CheckpointLoader, checkpoint
from torch import Tensor, nn

from mmaction_memvit.messages import first_names, tool

from ..layers.relative_position import extend_table, resize_table
from .layouts import TIMM_AND_MMPRETRAIN, new_name
from .loading import misfit, note
from .measure import State

MEMORY_WEIGHTS = r'\.attn\.(compress_|rel_pos_mem_)'
_MVIT_POOLING = re.compile(r'blocks\.\d+\.attn\.(pool|norm)_[qkv]\.[a-z]+$')


def _num_blocks(state: State, prefix: str) -> int:
    start = f'{prefix}blocks.'
    indices = {key[len(start):].split('.')[0] for key in state
               if key.startswith(start)}
    return len(indices)


def fit_memvit(state: State, prefix: str, own: State, arch: Dict) -> None:
    """Make a checkpoint one of a MeMViT, in place.

    Weights of MMAction2's MViT are translated. Position tables of height and
    width are interpolated linearly; those of time are cut, or extended by
    repeating their last row (as for the released weights). Memory of blocks
    that remember in the checkpoint and not here is left out.

    Args:
        state (dict): The state dict about to be loaded.
        prefix (str): Of the backbone's keys in it.
        own (dict): The backbone's own state dict.
        arch (dict): The backbone's ``arch_settings``.

    Raises:
        ValueError: If the checkpoint is of another architecture, or still in
            the layout of the released weights.
    """
    blocks = _num_blocks(state, prefix)
    if not blocks:
        return
    if f'{prefix}patch_embed.proj.weight' in state:
        misfit('it is in the layout of the released MeMViT '
               f'weights. Remedy: convert it first, by '
               f'{tool("convert_memvit.py")} SRC DST')
    width = state.get(f'{prefix}cls_token')
    found = (blocks, arch['embed_dims'] if width is None else width.shape[-1])
    expected = arch['num_layers'], arch['embed_dims']
    if found != expected:
        misfit(
            f'it is of another architecture, with {found[0]} '
            f'blocks of width {found[1]}, and this MeMViT {expected[0]} of '
            f'width {expected[1]}. Remedy: choose the arch it was made with '
            "('small' is MeMViT-16, 'base' MeMViT-24) or another checkpoint")
    _split_mvit(state, prefix)
    _leave_memory_out(state, prefix, own)
    _resize_tables(state, prefix, own)


def _leave_memory_out(state: State, prefix: str, own: State) -> None:
    """Drop memory of blocks that have none here."""
    forgotten = [key for key in state if key.startswith(f'{prefix}blocks.')
                 and re.search(MEMORY_WEIGHTS, key)
                 and key[len(prefix):] not in own]
    for key in forgotten:
        del state[key]
    if forgotten:
        at = sorted({int(key[len(prefix):].split('.')[1])
                     for key in forgotten})
        note(f'its memory of the blocks {at} is left out, where this MeMViT '
             'has none (mem_len above 0 and mem_layers tell where)')


def _resize_tables(state: State, prefix: str, own: State) -> None:
    """Resize position tables to those of the backbone."""
    resized = []
    for key, target in own.items():
        table = state.get(prefix + key)
        if ('rel_pos_' not in key or table is None
                or table.shape == target.shape
                or table.shape[1:] != target.shape[1:]):
            continue
        fit = extend_table if key.endswith('_t') else resize_table
        state[prefix + key] = fit(table, target.shape[0])
        resized.append(f'{key} {table.shape[0]} -> {target.shape[0]}')
    if resized:
        note(f'position tables resized: {len(resized)}, '
             f'{first_names(resized)}')


def _split_mvit(state: State, prefix: str) -> None:
    """Translate weights of MMAction2's MViT in place.

    Its joint qkv layers are split; its poolings act on projected tokens, ours
    on unprojected ones, so they are left out.
    """
    used = []
    for key in [k for k in state if k.startswith(f'{prefix}blocks.')]:
        name = key[len(prefix):]
        if '.attn.qkv.' in name:
            for part, value in zip('qkv', state[key].chunk(3)):
                state[key.replace('.qkv.', f'.{part}.')] = value
        elif not _MVIT_POOLING.match(name):
            continue
        used.append(key)
        del state[key]
    if used:
        note(
            'it is an MViT of MMAction2: qkv layers are split, and poolings, '
            'which mean something else there, left out', used)


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
        name = new_name(key[len(prefix):], TIMM_AND_MMPRETRAIN)
        if name:
            state[prefix + name] = state.pop(key)
            used.append(key)
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


@contextmanager
def loading_pretrained(model: nn.Module,
                       default: List[Dict]) -> Iterator[None]:
    """Context in which a backbone is initialised before it loads checkpoints.

    Those that its ``init_cfg`` names by ``type='Pretrained'``, as far as they
    fit; the log tells. ``prefix`` is that of the backbone's keys in one, if
    there are such.

    Args:
        model (nn.Module): The backbone.
        default (list[dict]): How tensors start that a checkpoint lacks, where
            ``init_cfg`` says nothing else.
    """
    cfgs = model.init_cfg or []
    cfgs = [cfgs] if isinstance(cfgs, dict) else list(cfgs)
    pretrained = [x for x in cfgs if x['type'] == 'Pretrained']
    if pretrained:
        model.init_cfg = [x for x in cfgs if x not in pretrained
                          ] or copy.deepcopy(default)
    yield
    for cfg in pretrained:
        state = CheckpointLoader.load_checkpoint(
            cfg['checkpoint'], map_location='cpu')
        state = state.get('state_dict', state)
        prefix = cfg.get('prefix', 'backbone.')
        state = {key[len(prefix):]: value for key, value in state.items()
                 if key.startswith(prefix)} or state
        checkpoint.load_state_dict(model, state)
