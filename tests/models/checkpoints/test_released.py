# Copyright (c) mmaction_memvit contributors. All rights reserved.
import re

import pytest
import torch

from mmaction_memvit.models import MeMViT
from mmaction_memvit.models.checkpoints.released import convert_released

ARCH = dict(embed_dims=16, num_layers=4, num_heads=1, downscale_indices=[1, 3])
# From our names to the released ones.
NAMES = ((r'patch_embed\.projection', 'patch_embed.proj'),
         (r'(compress_[kv])\.conv', r'\1'), (r'(pool_[qkv])\.conv', r'\1'),
         (r'(compress_[kv])\.norm', r'norm_\1'),
         (r'pool_([qkv])\.norm', r'norm_\1'), (r'^norm\d', 'norm'))


def build(mem_layers) -> MeMViT:
    return MeMViT(ARCH, spatial_size=32, temporal_size=8,
                  mem_len=2 if len(mem_layers) else 0, mem_layers=mem_layers)


def released(mem_layers, dtype=torch.float32) -> dict:
    """A checkpoint as the reference's, all blocks with tensors of memory."""
    torch.manual_seed(0)
    state = {}
    for key, value in build('all').state_dict().items():
        for ours, theirs in NAMES:
            key = re.sub(ours, theirs, key)
        state[key] = torch.randn_like(value)
    excluded = sorted(set(range(4)) - set(mem_layers))
    cfg = f"""
MEMVIT:
  ATTN_MAX_LEN: 3
  ENABLE: {str(bool(mem_layers)).lower()}
  EXCLUDE_LAYERS: {excluded}
SOLVER:
  STEPS: !!python/tuple [0, 11]
"""
    return dict(epoch=1, model_state=state, optimizer_state={}, cfg=cfg)


@pytest.mark.parametrize('blocks', [(0, 2), (0, 1, 2, 3), (1, 3), (3, ), ()])
def test_memory_of_the_blocks_that_remember_is_kept(blocks):
    source = released(blocks)
    done = convert_released(source)
    assert done.mem_layers == blocks
    # Nine tensors a block: three tables, and twice a convolution and a norm.
    assert len(done.dropped) == 9 * (4 - len(blocks))
    assert {int(key.split('.')[1])
            for key in done.dropped} == set(range(4)) - set(blocks)
    model = build(blocks)
    model.load_state_dict(
        {key[len('backbone.'):]: value for key, value in done.state.items()})
    # The model of all blocks would remember with what was dropped.
    assert len(done.state) + len(done.dropped) == len(source['model_state'])


@pytest.mark.parametrize('cfg', ['', None, 'no: memory', 'MEMVIT: {}'])
def test_without_a_word_of_it_what_has_content_is_kept(cfg):
    source = released((0, 2))
    source['cfg'] = cfg
    assert convert_released(source).mem_layers == (0, 1, 2, 3)
    assert convert_released(source['model_state']).mem_layers == (0, 1, 2, 3)
    for key, value in source['model_state'].items():
        if key.startswith('blocks.1.') and 'norm_' not in key and (
                'compress' in key or 'rel_pos_mem' in key):
            value.zero_()
    # As the reference writes it without memory.
    for key in list(source['model_state']):
        if key.startswith('blocks.2.attn.rel_pos_mem'):
            del source['model_state'][key]
    done = convert_released(source)
    assert done.mem_layers == (0, 3) and len(done.dropped) == 9 + 6


def test_a_model_that_remembers_in_fewer_blocks_takes_what_it_has():
    state = build('all').state_dict()
    model = build((0, 2))
    model.load_state_dict(state)
    table = 'blocks.2.attn.rel_pos_mem_t'
    assert torch.equal(model.state_dict()[table], state[table])
