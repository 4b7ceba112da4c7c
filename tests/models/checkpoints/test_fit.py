# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmaction.models.backbones import MViT

from mmaction_memvit.models import MeMViT
from mmaction_memvit.models.layers.relative_position import (
    extend_table,
    resize_table,
)

ARCH = dict(embed_dims=16, num_layers=4, num_heads=1, downscale_indices=[1, 3])


def build(**kwargs):
    return MeMViT(**{**dict(arch=ARCH, spatial_size=32, temporal_size=8),
                     **kwargs})


def test_position_tables_are_resized_on_load():
    source = build()
    target = build(spatial_size=64, temporal_size=16, mem_len=4)
    target.load_state_dict(source.state_dict())
    a, b = source.blocks[0].attn, target.blocks[0].attn
    for name, fit in (('rel_pos_h', resize_table), ('rel_pos_w', resize_table),
                      ('rel_pos_t', extend_table),
                      ('rel_pos_mem_h', resize_table),
                      ('rel_pos_mem_t', extend_table)):
        old, new = getattr(a, name), getattr(b, name)
        assert old.shape != new.shape, name
        torch.testing.assert_close(new, fit(old, len(new)))
    same = build()
    same.load_state_dict(source.state_dict())
    assert torch.equal(same.blocks[0].attn.rel_pos_h, a.rel_pos_h)


def test_pretrained_beside_other_initialisers(tmp_path):
    source = build(mem_len=0)
    path = tmp_path / 'a.pth'
    torch.save(source.state_dict(), path)
    ones = dict(type='Constant', layer='LayerNorm', val=3., bias=1.)
    model = build(init_cfg=[
        ones, dict(type='Pretrained', checkpoint=str(path))])
    model.init_weights()
    state = model.state_dict()
    for key, value in source.state_dict().items():
        assert torch.equal(state[key], value), key
    # What the checkpoint lacks is initialised, by these or by default.
    norm = next(k for k in state if 'compress_k.norm.weight' in k)
    assert (state[norm] == 3).all()
    assert state['blocks.0.attn.rel_pos_mem_t'].abs().sum() > 0
    model = build(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    state = model.state_dict()
    conv = next(k for k in state if 'compress_k.conv.weight' in k)
    assert 0 < state[conv].std() < 0.05


def test_pretrained_mvit_of_mmaction2(tmp_path):
    mvit = MViT(ARCH, spatial_size=32, temporal_size=8)
    path = tmp_path / 'mvit.pth'
    torch.save(dict(state_dict={f'backbone.{k}': v
                                for k, v in mvit.state_dict().items()}),
               path)
    model = build(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    theirs, ours = mvit.state_dict(), model.state_dict()
    qkv = theirs['blocks.2.attn.qkv.weight']
    assert torch.equal(ours['blocks.2.attn.k.weight'], qkv[32:64])
    for key in ('patch_embed.projection.weight', 'blocks.0.mlp.fc1.weight',
                'blocks.1.proj.weight', 'blocks.0.attn.rel_pos_t',
                'norm2.weight'):
        assert torch.equal(ours[key], theirs[key])
    # Its poolings mean something else.
    assert not torch.equal(ours['blocks.0.attn.pool_q.conv.weight'],
                           theirs['blocks.0.attn.pool_q.weight'])


def test_foreign_checkpoints_are_errors(tmp_path):
    other = build(arch={**ARCH, 'num_layers': 6})
    with pytest.raises(ValueError, match='6.*16.*4.*arch'):
        build().load_state_dict(other.state_dict())
    wide = build(arch={**ARCH, 'embed_dims': 32})
    with pytest.raises(ValueError, match='width 32.*width 16'):
        build().load_state_dict(wide.state_dict())
    released = {'patch_embed.proj.weight': torch.zeros(1),
                'blocks.0.norm1.weight': torch.zeros(16)}
    with pytest.raises(ValueError, match='convert_memvit'):
        build().load_state_dict(released)
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={'fc.weight': torch.zeros(1)}), path)
    model = build(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(ValueError, match='0 of the'):
        model.init_weights()
