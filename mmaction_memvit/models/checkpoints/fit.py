# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Fits checkpoints to a MeMViT: position tables, MMAction2's MViT."""
import re
from typing import Dict, List, Tuple

from mmengine.logging import MMLogger
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..layers.relative_position import extend_table, resize_table

State = Dict[str, Tensor]
_OF_MEMORY = re.compile(r'\.attn\.(compress_|rel_pos_mem_)')


def _num_blocks(state: State, prefix: str) -> int:
    start = f'{prefix}blocks.'
    indices = {
        key[len(start):].split('.')[0]
        for key in state if key.startswith(start)
    }
    return len(indices)


def fit_position_tables(state: State, prefix: str, own: State,
                        arch: Dict) -> None:
    """Resize the position tables of a checkpoint in place.

    Tables of height and width are interpolated linearly; those of time are
    cut, or extended by repeating their last row (as for the released
    weights). Memory of blocks that remember in the checkpoint and not here is
    left out, which a warning tells.

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
        raise ValueError(
            'the checkpoint is in the layout of the released MeMViT weights: '
            'convert it with tools/convert_memvit.py SRC DST first')
    width = state.get(f'{prefix}cls_token')
    found = (blocks, arch['embed_dims'] if width is None else width.shape[-1])
    expected = arch['num_layers'], arch['embed_dims']
    if found != expected:
        raise ValueError(
            f'the checkpoint is of another architecture: it has {found[0]} '
            f'blocks of width {found[1]}, but this MeMViT {expected[0]} of '
            f'width {expected[1]}; choose the arch it was made with '
            "('small' is MeMViT-16, 'base' MeMViT-24) or another checkpoint")
    forgotten = [
        key for key in state if key.startswith(f'{prefix}blocks.')
        and _OF_MEMORY.search(key) and key[len(prefix):] not in own
    ]
    for key in forgotten:
        del state[key]
    if forgotten:
        at = sorted({int(key[len(prefix):].split('.')[1])
                     for key in forgotten})
        MMLogger.get_current_instance().warning(
            f'{len(forgotten)} tensors of the checkpoint are left out: it has '
            f'memory in the blocks {at}, and this MeMViT has none there; '
            'mem_len above 0 and mem_layers tell where')
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
        MMLogger.get_current_instance().info(
            f'resized {len(resized)} position tables: {", ".join(resized)}')


def adapt_mvit_state(state: State, own: State,
                     source: str) -> Tuple[State, List[str]]:
    """Take from a checkpoint what fits a MeMViT in shape and in meaning.

    A state dict of MMAction2's MViT is translated: its joint qkv layer is
    split; its poolings act on projected tokens, ours on unprojected ones, so
    they are left out.

    Args:
        state (dict): Backbone weights of a MeMViT or an MViT.
        own (dict): The MeMViT's own state dict.
        source (str): Where they are from, for errors.

    Returns:
        tuple[dict, list[str]]: What to load, and the keys left out.

    Raises:
        ValueError: If nothing fits.
    """
    fitting, left_out = {}, []
    for key, value in state.items():
        parts = key.split('.')
        if '.attn.qkv.' in key:
            for name, part in zip('qkv', value.chunk(3)):
                fitting[key.replace('.qkv.', f'.{name}.')] = part
            continue
        if len(parts) == 5 and parts[3][:-1] in ('pool_', 'norm_'):
            left_out.append(key)
            continue
        fitting[key] = value
    for key, value in list(fitting.items()):
        table = 'rel_pos_' in key
        if key not in own or (value.shape[table:] != own[key].shape[table:]):
            left_out.append(key)
            del fitting[key]
    if not any(key.startswith('blocks.') for key in fitting):
        raise ValueError(
            f'{source} holds no weights that fit this MeMViT: of its '
            f'{len(state)} tensors none of the blocks agrees in name and '
            'shape; it must be a converted MeMViT checkpoint '
            '(tools/convert_memvit.py) or an MViT of MMAction2 of the same '
            'arch')
    return fitting, left_out


def load_what_fits(model: nn.Module, path: str, prefix: str) -> None:
    """Load a checkpoint into a MeMViT as far as it fits; the log tells.

    Args:
        model (nn.Module): The MeMViT.
        path (str): Checkpoint, see :func:`adapt_mvit_state`.
        prefix (str): Of the backbone's keys in it, if there are such.
    """
    state = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = state.get('state_dict', state)
    state = {
        key[len(prefix):]: value
        for key, value in state.items() if key.startswith(prefix)
    } or state
    state, left_out = adapt_mvit_state(state, model.state_dict(), path)
    missing = model.load_state_dict(state, strict=False).missing_keys
    MMLogger.get_current_instance().info(
        f'{path}: loaded {len(state)} tensors, left out '
        f'{left_out or "none"}, initialised anew {missing or "none"}')
