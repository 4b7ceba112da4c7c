# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""From the layout of the released MeMViT weights to ours."""
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import yaml
from torch import Tensor

Rule = Tuple[str, Optional[str]]

# As :func:`rename` takes them.
_RULES = (
    (r'cls_token', r'backbone.cls_token'),
    (r'patch_embed\.proj\.(\w+)', r'backbone.patch_embed.projection.\1'),
    (r'norm\.(\w+)', r'backbone.norm{last}.\1'),
    (r'head\.projection\.(weight|bias)', r'cls_head.fc_cls.\1'),
    (r'head\.projection\.(\d+)\.(\w+)', r'cls_head.fcs.\1.\2'),
    (r'blocks\.(\d+)\.attn\.pool_([qkv])\.weight',
     r'backbone.blocks.\1.attn.pool_\2.conv.weight'),
    (r'blocks\.(\d+)\.attn\.norm_([qkv])\.(\w+)',
     r'backbone.blocks.\1.attn.pool_\2.norm.\3'),
    (r'blocks\.(\d+)\.attn\.compress_([kv])\.weight',
     r'backbone.blocks.\1.attn.compress_\2.conv.weight'),
    (r'blocks\.(\d+)\.attn\.norm_compress_([kv])\.(\w+)',
     r'backbone.blocks.\1.attn.compress_\2.norm.\3'),
    (r'blocks\.(\d+)\.attn\.(rel_pos_(?:mem_)?[thw])',
     r'backbone.blocks.\1.attn.\2'),
    (r'blocks\.(\d+)\.(attn\.(?:[qkv]|proj)|mlp\.fc[12]|norm[12]|proj)\.(\w+)',
     r'backbone.blocks.\1.\2.\3'),
    (r'box_blocks\.(\d+)\.(attn\.(?:[qkv]|proj)|mlp\.fc[12]|norm[12])\.(\w+)',
     r'roi_head.box_blocks.\1.\2.\3'),
)
_OF_MEMORY = re.compile(
    r'blocks\.(\d+)\.attn\.((?:norm_)?compress_|rel_pos_mem_)')


class Converted(NamedTuple):
    """A released checkpoint in this project's layout.

    Args:
        state (dict): State dict of a recognizer (``backbone.``,
            ``cls_head.``), or with box blocks of a detector (``roi_head.``).
        mem_layers (tuple[int]): Blocks that remember, as :class:`MeMViT`
            takes them.
        dropped (list[str]): Keys left out, which no output depends on.
        dataset_meta (dict): What it tells of its data set, as MMEngine keeps
            it in checkpoints.
    """
    state: Dict[str, Tensor]
    mem_layers: Tuple[int, ...]
    dropped: List[str]
    dataset_meta: Dict = {}


def find_prefix(state: Dict, mark: str) -> Optional[str]:
    """What stands before a key of a released state; None without the key."""
    return next((key[:-len(mark)] for key in map(str, state)
                 if key.endswith(mark)), None)


def take_prefix(state: Dict, mark: str, name: str) -> Dict:
    """The state without the prefix that all keys have, such as ``module.``.

    Args:
        state (dict): Released tensors.
        mark (str): A key that is in every state of its kind.
        name (str): What kind it is, for the error.

    Raises:
        ValueError: If ``mark`` is not there.
    """
    prefix = find_prefix(state, mark)
    if prefix is None:
        raise ValueError(
            f'this is not a released {name} checkpoint: it has no {mark} '
            f'among its {len(state)} tensors (they begin with '
            f'{sorted(state)[:3]})')
    return {k[len(prefix):] if k.startswith(prefix) else k: v
            for k, v in state.items()}


def convert_released(checkpoint: Dict) -> Converted:
    """Convert a released MeMViT checkpoint.

    All blocks carry tensors for memory, whether they remember or not. Those
    of a block are left out where the checkpoint's own ``cfg`` says that it
    does not remember, or where they hold nothing but zeros or no positions,
    without which no block remembers.

    Args:
        checkpoint (dict): With ``model_state`` and, as YAML text, ``cfg``; or
            the state itself.

    Raises:
        ValueError: If keys are unknown, with their list, or if this is no
            such checkpoint.
    """
    state = checkpoint.get('model_state', checkpoint)
    blocks = {int(m[1]) for m in map(re.compile(r'blocks\.(\d+)\.').match,
                                     state) if m}
    if not blocks or 'patch_embed.proj.weight' not in state:
        raise ValueError(
            'this is not a released MeMViT checkpoint: it has no '
            f'blocks.0.* and patch_embed.proj.weight among its {len(state)} '
            f'tensors (they begin with {sorted(state)[:3]})')
    remembering = _remembering(state, checkpoint.get('cfg'))
    # A stage ends where the width changes.
    last = sum(f'blocks.{i}.proj.weight' in state for i in blocks)
    with_boxes = any(key.startswith('box_blocks.') for key in state)
    of_memory = {key: _OF_MEMORY.match(key) for key in state}
    dropped = [key for key, memory in of_memory.items()
               if memory and int(memory[1]) not in remembering]
    converted, _ = rename({k: v for k, v in state.items() if k not in dropped},
                          _RULES, 'MeMViT')
    converted = {
        key.replace('{last}', str(last)).replace(
            'cls_head.', 'roi_head.bbox_head.' if with_boxes else 'cls_head.'):
        value for key, value in converted.items()}
    return Converted(converted, tuple(sorted(remembering)), dropped)


def rename(state: Dict[str, Tensor], rules: Sequence[Rule],
           model: str) -> Tuple[Dict[str, Tensor], List[str]]:
    """Rename the tensors of a released checkpoint.

    Args:
        state (dict): Tensors by their names.
        rules (Sequence[tuple]): A pattern of names and what becomes of them,
            None for what is left out. The first that matches a whole name
            wins.
        model (str): What the checkpoint is of.

    Returns:
        tuple: Tensors by their new names, and names left out.

    Raises:
        ValueError: If no rule matches, with the list of all such names.
    """
    converted, dropped, unknown = {}, [], []
    for key, value in state.items():
        for pattern, name in rules:
            found = re.fullmatch(pattern, key)
            if found and name is None:
                dropped.append(key)
            elif found:
                converted[found.expand(name)] = value
            if found:
                break
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state)} tensors are not part of a '
            f'released {model} checkpoint: {unknown}')
    return converted, dropped


def _remembering(state: Dict[str, Tensor], cfg: Optional[str]) -> Set[int]:
    """Numbers of the blocks that remember."""
    found: Dict[int, Set[str]] = {}
    for key, value in state.items():
        memory = _OF_MEMORY.match(key)
        # Norms start from one.
        if memory and 'norm_' not in memory[2] and value.any():
            found.setdefault(int(memory[1]), set()).add(memory[2])
    blocks = {i for i, kinds in found.items() if 'rel_pos_mem_' in kinds}
    # Scalars stay text, and no tag of Python is followed.
    options = yaml.load(cfg or '', Loader=yaml.BaseLoader)
    options = options if isinstance(options, dict) else {}
    memory = options.get('MEMVIT') or {}
    if str(memory.get('ENABLE')).lower() == 'false':
        return set()
    excluded = memory.get('EXCLUDE_LAYERS') or []
    if isinstance(excluded, str):
        excluded = re.findall(r'\d+', excluded)
    return blocks - set(map(int, excluded))
