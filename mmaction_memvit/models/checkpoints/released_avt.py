# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""From the layout of the released AVT weights to ours."""
import re
from typing import Dict

import torch

from .released import Converted, find_prefix, rename, take_prefix

_GPT = r'future_predictor\.gpt_model\.'
_WB = r'\.(weight|bias)'
# As :func:`rename` takes them.
_RULES = (
    (r'backbone\.model\.(cls_token|pos_embed)', r'backbone.\1'),
    (rf'backbone\.model\.patch_embed\.proj{_WB}',
     r'backbone.patch_embed.projection.\1'),
    (rf'backbone\.model\.(norm|blocks\.\d+\.(?:norm[12]|attn\.(?:qkv|proj)|'
     rf'mlp\.fc[12])){_WB}', r'backbone.\1.\2'),
    (r'future_predictor\.(encoder|decoder)\.weight', r'cls_head.\1.weight'),
    (rf'{_GPT}wpe\.weight', r'cls_head.transformer.positions.weight'),
    (rf'{_GPT}ln_f{_WB}', r'cls_head.transformer.norm.\1'),
    (rf'{_GPT}h\.(\d+)\.ln_([12]){_WB}',
     r'cls_head.transformer.blocks.\1.norm\2.\3'),
    (rf'{_GPT}h\.(\d+)\.attn\.c_attn{_WB}',
     r'cls_head.transformer.blocks.\1.qkv.\2'),
    (rf'{_GPT}h\.(\d+)\.attn\.c_proj{_WB}',
     r'cls_head.transformer.blocks.\1.proj.\2'),
    (rf'{_GPT}h\.(\d+)\.mlp\.c_fc{_WB}',
     r'cls_head.transformer.blocks.\1.fc1.\2'),
    (rf'{_GPT}h\.(\d+)\.mlp\.c_proj{_WB}',
     r'cls_head.transformer.blocks.\1.fc2.\2'),
    (rf'classifiers\.action{_WB}', r'cls_head.fc_cls.\1'),
    # Masks, and which verb and noun an action has, see _pairs_of_actions.
    (rf'{_GPT}h\.\d+\.attn\.(bias|masked_bias)', None),
    (r'cls_map_(verb|noun)_action', None),
)
# GPT-2's layers have their weights the other way round.
_TRANSPOSED = re.compile(rf'{_GPT}h\.\d+\.(attn|mlp)\.c_\w+\.weight')
_MARK = 'future_predictor.gpt_model.wpe.weight'


def is_released_avt(checkpoint: Dict) -> bool:
    """Whether a checkpoint is one of AVT as released."""
    return find_prefix(_state(checkpoint), _MARK) is not None


def _state(checkpoint: Dict) -> Dict:
    return checkpoint.get('model', checkpoint)


def convert_avt(checkpoint: Dict) -> Converted:
    """Convert a released AVT checkpoint, over a ViT or over features.

    Args:
        checkpoint (dict): With ``model``, or the state itself; its keys may
            all have one prefix, such as ``module.``.

    Returns:
        Converted: The state dict of a ``Recognizer3D`` of an :class:`AVTHead`
        and, unless features were taken out beforehand, an :class:`XViT` with
        ``window=0, temporal_positions=0``; of EPIC-KITCHENS with the (verb,
        noun) ``action_pairs`` of its classifier.

    Raises:
        ValueError: If a key is unknown, with the list of all such keys, or
            if this is no such checkpoint.
    """
    state = take_prefix(_state(checkpoint), _MARK, 'AVT')
    state = {k: v.t().contiguous() if _TRANSPOSED.fullmatch(k) else v
             for k, v in state.items()}
    converted, dropped = rename(state, _RULES, 'AVT')
    return Converted(converted, (), dropped, _pairs_of_actions(state))


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
