# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The keys and shapes of the released X-ViT checkpoints become a model's."""
import pytest
import torch
from helpers.tools import tool_fixture
from mmaction.registry import MODELS

from mmaction_memvit.models.checkpoints.released_xvit import (
    convert_xvit,
    is_released_xvit,
)

tool = tool_fixture('tools/convert_memvit.py')


def block(width, bias=True):
    """Shapes of a block's tensors."""
    for name, shape in (('norm1', (width, )), ('attn.qkv', (3 * width, width)),
                        ('attn.proj', (width, width)), ('norm2', (width, )),
                        ('mlp.fc1', (4 * width, width)),
                        ('mlp.fc2', (width, 4 * width))):
        yield f'{name}.weight', shape
        if bias or name != 'attn.qkv':
            yield f'{name}.bias', shape[:1]


def released(width=768, depth=12, patch=16, side=14, classes=600, prefix=''):
    """Shapes of the released tensors, by their names."""
    shapes = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, 1 + side**2, width),
        # The released model has 8, also for 16 frames.
        'temp_embed': (1, 8, 1, width),
        'patch_embed.proj.weight': (width, 3, patch, patch),
        'patch_embed.proj.bias': (width, ),
        'norm.weight': (width, ),
        'norm.bias': (width, ),
        **{f'blocks.{i}.{k}': v for i in range(depth) for k, v in block(width)}
    }
    shapes = {f'base_model.{k}': v for k, v in shapes.items()}
    shapes['consensus.cls_token'] = (1, 1, width)
    for key, shape in block(width, bias=False):
        shapes[f'consensus.temporal_encoder.0.{key}'] = shape
    for name, shape in (('new_fc', (classes, width)),
                        ('consensus.mlp_head.0', (width, )),
                        ('consensus.mlp_head.1', (width, width)),
                        ('consensus.mlp_head.4', (classes, width))):
        shapes[f'{name}.weight'], shapes[f'{name}.bias'] = shape, shape[:1]
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
