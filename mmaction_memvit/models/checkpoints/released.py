# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""From the layouts of released weights to ours."""
import re
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

import torch
import yaml
from torch import Tensor

from .layouts import AVT, MEMVIT, XVIT, Layout, new_name

_OF_MEMORY = re.compile(
    r'blocks\.(\d+)\.attn\.((?:norm_)?compress_|rel_pos_mem_)')
# GPT-2's layers have their weights the other way round.
_TRANSPOSED = re.compile(r'.*gpt_model\.h\.\d+\.(attn|mlp)\.c_\w+\.weight')


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
    dataset_meta: Dict


def convert_released(checkpoint: Dict) -> Converted:
    """Convert a released checkpoint of MeMViT, X-ViT or AVT.

    Of X-ViT it becomes a ``Recognizer3D`` of :class:`XViT` and an
    ``MViTHead``; of AVT one of an :class:`AVTHead` and, unless features were
    taken out beforehand, an :class:`XViT` with ``window=0,
    temporal_positions=0``, on EPIC-KITCHENS with the (verb, noun)
    ``action_pairs`` of its classifier as ``dataset_meta``.

    All blocks of MeMViT carry tensors for memory, whether they remember or
    not. Those of a block are left out where the checkpoint's own ``cfg`` says
    that it does not remember, or where they hold nothing but zeros or no
    positions, without which no block remembers.

    Args:
        checkpoint (dict): With ``model_state`` (AVT: ``model``) and, of
            MeMViT as YAML text, ``cfg``; or the state itself. Its keys may
            all have one prefix, such as ``module.``.

    Raises:
        ValueError: If keys are unknown, with their list, or if this is no
            such checkpoint.
    """
    layout, state = _read(checkpoint)
    mem_layers, meta, dropped = set(), {}, []
    if layout is MEMVIT:
        mem_layers = _remembering(state, checkpoint.get('cfg'))
        dropped = [k for k in state if _OF_MEMORY.match(k)
                   and int(_OF_MEMORY.match(k)[1]) not in mem_layers]
    elif layout is AVT:
        meta = _pairs_of_actions(state)
        state = {k: v.t().contiguous() if _TRANSPOSED.fullmatch(k) else v
                 for k, v in state.items()}
    with_boxes = any(key.startswith('box_blocks.') for key in state)
    places = dict(
        # A stage ends where the width changes.
        last=sum(bool(re.fullmatch(r'blocks\.\d+\.proj\.weight', key))
                 for key in state),
        head='roi_head.bbox_head' if with_boxes else 'cls_head')
    names = {k: new_name(k, layout.rules) for k in state if k not in dropped}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(state)} tensors are not part of a '
            f'released {layout.name} checkpoint: {unknown}')
    return Converted(
        {name.format(**places): state[k] for k, name in names.items() if name},
        tuple(sorted(mem_layers)),
        dropped + [k for k, name in names.items() if not name], meta)


def _read(checkpoint: Dict) -> Tuple[Layout, Dict[str, Tensor]]:
    """What a checkpoint is of, and its state without a common prefix."""
    state = next((checkpoint[key] for key in ('model_state', 'model')
                  if key in checkpoint), checkpoint)
    there = f'{len(state)} tensors (they begin with {sorted(state)[:3]})'
    for layout in (AVT, XVIT, MEMVIT):
        signs = (re.match(f'(.*?){layout.sign}', str(key)) for key in state)
        prefix = next((sign[1] for sign in signs if sign), None)
        if prefix is None:
            continue
        if prefix + layout.mark not in state:
            raise ValueError(
                f'this is not a whole released {layout.name} checkpoint: it '
                f'has no {prefix}{layout.mark} among its {there}')
        return layout, {k[len(prefix):] if k.startswith(prefix) else k: v
                        for k, v in state.items()}
    raise ValueError('this is not a released MeMViT, X-ViT or AVT checkpoint: '
                     f'no name is one of theirs among its {there}')


def _pairs_of_actions(state: Dict) -> Dict:
    """Verb and noun of each action, as metainfo; {} if it does not tell.

    Maps are (num_actions, num_verbs) and (num_actions, num_nouns), 1 where an
    action has the class, else 0.
    """
    maps = [state.get(f'cls_map_{x}_action') for x in ('verb', 'noun')]
    if any(x is None or not (x.sum(1) == 1).all() for x in maps):
        return {}
    return dict(action_pairs=torch.stack([x.argmax(1) for x in maps],
                                         1).tolist())


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
