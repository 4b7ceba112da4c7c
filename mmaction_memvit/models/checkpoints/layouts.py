# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What tensors are called elsewhere, and what here: one table a layout.

A rule is a pattern of names and what becomes of them, '' for what no output
depends on. The first that matches a whole name wins.
"""
import re
from typing import NamedTuple, Optional, Sequence, Tuple

Rules = Sequence[Tuple[str, str]]

_WB = r'\.(weight|bias)'
_VIT = rf'(norm[12]|attn\.(?:qkv|proj)|mlp\.fc[12]){_WB}'
_GPT = r'future_predictor\.gpt_model\.'
_GPT_BLOCK = r'cls_head.transformer.blocks'


def new_name(key: str, rules: Rules) -> Optional[str]:
    """What a tensor is called here: '' if left out, None if unknown."""
    for pattern, name in rules:
        found = re.fullmatch(pattern, key)
        if found:
            return found.expand(name)
    return None


class Layout(NamedTuple):
    """How the authors of a model have released its weights.

    Args:
        name (str): The model's.
        sign (str): Pattern of how names begin that only this model has.
        mark (str): A tensor that it cannot be without.
        rules (Sequence[tuple]): Of all of its tensors.
    """
    name: str
    sign: str
    mark: str
    rules: Rules


XVIT = Layout(
    'X-ViT', r'base_model\.', 'base_model.patch_embed.proj.weight', (
        (r'base_model\.(cls_token|pos_embed|temp_embed)', r'backbone.\1'),
        (rf'base_model\.patch_embed\.proj{_WB}',
         r'backbone.patch_embed.projection.\1'),
        (rf'base_model\.blocks\.(\d+)\.{_VIT}', r'backbone.blocks.\1.\2.\3'),
        (rf'base_model\.norm{_WB}', r'backbone.norm.\1'),
        # A classifier that the released model has, and passes by.
        (rf'new_fc{_WB}', ''),
        (r'consensus\.cls_token', r'backbone.temporal.cls_token'),
        (rf'consensus\.temporal_encoder\.0\.{_VIT}',
         r'backbone.temporal.encoder.\1.\2'),
        (rf'consensus\.mlp_head\.0{_WB}', r'backbone.temporal.norm.\1'),
        (rf'consensus\.mlp_head\.1{_WB}', r'backbone.temporal.proj.\1'),
        (rf'consensus\.mlp_head\.4{_WB}', r'cls_head.fc_cls.\1')))

AVT = Layout(
    'AVT', r'future_predictor\.', 'future_predictor.gpt_model.wpe.weight', (
        (r'backbone\.model\.(cls_token|pos_embed)', r'backbone.\1'),
        (rf'backbone\.model\.patch_embed\.proj{_WB}',
         r'backbone.patch_embed.projection.\1'),
        (rf'backbone\.model\.blocks\.(\d+)\.{_VIT}',
         r'backbone.blocks.\1.\2.\3'),
        (rf'backbone\.model\.norm{_WB}', r'backbone.norm.\1'),
        (r'future_predictor\.(encoder|decoder)\.weight',
         r'cls_head.\1.weight'),
        (rf'{_GPT}wpe\.weight', r'cls_head.transformer.positions.weight'),
        (rf'{_GPT}ln_f{_WB}', r'cls_head.transformer.norm.\1'),
        (rf'{_GPT}h\.(\d+)\.ln_([12]){_WB}', rf'{_GPT_BLOCK}.\1.norm\2.\3'),
        (rf'{_GPT}h\.(\d+)\.attn\.c_attn{_WB}', rf'{_GPT_BLOCK}.\1.qkv.\2'),
        (rf'{_GPT}h\.(\d+)\.attn\.c_proj{_WB}', rf'{_GPT_BLOCK}.\1.proj.\2'),
        (rf'{_GPT}h\.(\d+)\.mlp\.c_fc{_WB}', rf'{_GPT_BLOCK}.\1.fc1.\2'),
        (rf'{_GPT}h\.(\d+)\.mlp\.c_proj{_WB}', rf'{_GPT_BLOCK}.\1.fc2.\2'),
        (rf'classifiers\.action{_WB}', r'cls_head.fc_cls.\1'),
        # Masks, and which verb and noun an action has.
        (rf'{_GPT}h\.\d+\.attn\.(bias|masked_bias)', ''),
        (r'cls_map_(verb|noun)_action', '')))

# {last} is the last stage, {head} the classifier of a recognizer or detector.
MEMVIT = Layout(
    'MeMViT', r'\bblocks\.0\.', 'patch_embed.proj.weight', (
        (r'cls_token', r'backbone.cls_token'),
        (r'patch_embed\.proj\.(\w+)', r'backbone.patch_embed.projection.\1'),
        (r'norm\.(\w+)', r'backbone.norm{last}.\1'),
        (rf'head\.projection{_WB}', r'{head}.fc_cls.\1'),
        (r'head\.projection\.(\d+)\.(\w+)', r'{head}.fcs.\1.\2'),
        (r'blocks\.(\d+)\.attn\.(pool_[qkv]|compress_[kv])\.weight',
         r'backbone.blocks.\1.attn.\2.conv.weight'),
        (r'blocks\.(\d+)\.attn\.norm_([qkv])\.(\w+)',
         r'backbone.blocks.\1.attn.pool_\2.norm.\3'),
        (r'blocks\.(\d+)\.attn\.norm_(compress_[kv])\.(\w+)',
         r'backbone.blocks.\1.attn.\2.norm.\3'),
        (r'blocks\.(\d+)\.attn\.(rel_pos_(?:mem_)?[thw])',
         r'backbone.blocks.\1.attn.\2'),
        (r'blocks\.(\d+)\.(attn\.(?:[qkv]|proj)|mlp\.fc[12]|norm[12]|proj)'
         r'\.(\w+)', r'backbone.blocks.\1.\2.\3'),
        (r'box_blocks\.(\d+)\.(attn\.(?:[qkv]|proj)|mlp\.fc[12]|norm[12])'
         r'\.(\w+)', r'roi_head.box_blocks.\1.\2.\3')))

# Image transformers, of whose tensors the rest is called as here.
TIMM_AND_MMPRETRAIN: Rules = (
    # timm
    (r'patch_embed\.proj\.(\w+)', r'patch_embed.projection.\1'),
    # MMPretrain
    (r'(?:ln|norm)1\.(\w+)', r'norm.\1'),
    (r'layers\.(\d+)\.(?:ln|norm)([12])\.(\w+)', r'blocks.\1.norm\2.\3'),
    (r'layers\.(\d+)\.attn\.(qkv|proj)\.(\w+)', r'blocks.\1.attn.\2.\3'),
    (r'layers\.(\d+)\.ffn\.layers\.0\.0\.(\w+)', r'blocks.\1.mlp.fc1.\2'),
    (r'layers\.(\d+)\.ffn\.layers\.1\.(\w+)', r'blocks.\1.mlp.fc2.\2'),
)
