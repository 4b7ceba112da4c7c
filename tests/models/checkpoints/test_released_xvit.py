# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The keys and shapes of the released X-ViT checkpoints become a model's."""
import pytest
import torch
from helpers.released import vit, vit_block, with_bias
from helpers.tools import tool_fixture
from mmaction.registry import MODELS

from mmaction_memvit.models.checkpoints.released_xvit import (
    convert_xvit,
    is_released_xvit,
)

tool = tool_fixture('tools/convert_memvit.py')


def released(width=768, depth=12, patch=16, side=14, classes=600, prefix=''):
    """Shapes of the released tensors, by their names."""
    shapes = {f'base_model.{k}': v
              for k, v in vit(width, depth, patch, side).items()}
    # The released model has 8, also for 16 frames.
    shapes['base_model.temp_embed'] = (1, 8, 1, width)
    shapes['consensus.cls_token'] = (1, 1, width)
    shapes.update({f'consensus.temporal_encoder.0.{k}': v
                   for k, v in vit_block(width).items()
                   if k != 'attn.qkv.bias'})
    for name, *shape in (('new_fc', classes, width),
                         ('consensus.mlp_head.0', width),
                         ('consensus.mlp_head.1', width, width),
                         ('consensus.mlp_head.4', classes, width)):
        shapes.update(with_bias(name, *shape))
    return {prefix + k: v for k, v in shapes.items()}


def model(classes=600, **kwargs):
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(type='XViT', group_length=8, **kwargs),
            cls_head=dict(
                type='MViTHead', in_channels=kwargs.get('arch', {}).get(
                    'embed_dims', 768), num_classes=classes)))


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('classes', [600, 174])
def test_every_tensor_is_used_or_named(prefix, classes):
    state = {k: torch.empty(v, device='meta')
             for k, v in released(classes=classes, prefix=prefix).items()}
    assert len(state) == 171
    done = convert_xvit(dict(model_state=state, epoch=30))
    assert done.dropped == ['new_fc.weight', 'new_fc.bias']
    with torch.device('meta'):
        own = model(classes).state_dict()
    assert {k: v.shape for k, v in done.state.items()} == {
        k: v.shape for k, v in own.items()}


def test_what_is_unknown_is_told():
    state = {k: torch.empty(v, device='meta') for k, v in released().items()}
    state['base_model.head.weight'] = state['new_fc.weight']
    with pytest.raises(ValueError, match=r'1 of 172 .*base_model.head.weight'):
        convert_xvit(state)
    with pytest.raises(ValueError, match='no .*patch_embed'):
        convert_xvit({'blocks.0.norm1.weight': torch.zeros(1)})
    assert not is_released_xvit({'patch_embed.proj.weight': 1})


def test_the_tool_converts(tool, tmp_path, capsys):
    gen = torch.Generator().manual_seed(0)
    small = dict(width=32, depth=2, patch=8, side=2, classes=3)
    state = {k: torch.randn(v, generator=gen)
             for k, v in released(**small).items()}
    torch.save(dict(model_state=state), tmp_path / 'src.pth')
    tool.main([str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')])
    assert 'new_fc.weight' in capsys.readouterr().out
    loaded = model(3, arch=dict(embed_dims=32, num_layers=2, num_heads=2),
                   patch_size=8, spatial_size=16)
    found = torch.load(tmp_path / 'dst.pth', weights_only=True)
    loaded.load_state_dict(found['state_dict'])
    assert torch.equal(loaded.backbone.temporal.proj.bias,
                       state['consensus.mlp_head.1.bias'])
