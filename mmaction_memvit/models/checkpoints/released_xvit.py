# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""From the layout of the released X-ViT weights to ours."""
from typing import Dict

from .released import Converted, find_prefix, rename, take_prefix

# Each rule: a pattern of a released key and what becomes of it, None for what
# no output depends on.
_BLOCK = r'(norm[12]|attn\.(?:qkv|proj)|mlp\.fc[12])\.(weight|bias)'
_RULES = (
    (r'base_model\.(cls_token|pos_embed|temp_embed)', r'backbone.\1'),
    (r'base_model\.patch_embed\.proj\.(weight|bias)',
     r'backbone.patch_embed.projection.\1'),
    (rf'base_model\.blocks\.(\d+)\.{_BLOCK}', r'backbone.blocks.\1.\2.\3'),
    (r'base_model\.norm\.(weight|bias)', r'backbone.norm.\1'),
    # A classifier that the released model has, and passes by.
    (r'new_fc\.(weight|bias)', None),
    (r'consensus\.cls_token', r'backbone.temporal.cls_token'),
    (rf'consensus\.temporal_encoder\.0\.{_BLOCK}',
     r'backbone.temporal.encoder.\1.\2'),
    (r'consensus\.mlp_head\.0\.(weight|bias)', r'backbone.temporal.norm.\1'),
    (r'consensus\.mlp_head\.1\.(weight|bias)', r'backbone.temporal.proj.\1'),
    (r'consensus\.mlp_head\.4\.(weight|bias)', r'cls_head.fc_cls.\1'),
)
_MARK = 'base_model.patch_embed.proj.weight'


def is_released_xvit(checkpoint: Dict) -> bool:
    """Whether a checkpoint is one of X-ViT as released."""
    return find_prefix(_state(checkpoint), _MARK) is not None


def _state(checkpoint: Dict) -> Dict:
    return checkpoint.get('model_state', checkpoint)


def convert_xvit(checkpoint: Dict) -> Converted:
    """Convert a released X-ViT checkpoint.

    Args:
        checkpoint (dict): With ``model_state``, or the state itself; its keys
            may all have one prefix, such as ``module.``.

    Returns:
        Converted: The state dict of a ``Recognizer3D`` of :class:`XViT` and
        an ``MViTHead``.

    Raises:
        ValueError: If a key is unknown, with the list of all such keys, or
            if this is no such checkpoint.
    """
    state = take_prefix(_state(checkpoint), _MARK, 'X-ViT')
    converted, dropped = rename(state, _RULES, 'X-ViT')
    return Converted(converted, (), dropped)
