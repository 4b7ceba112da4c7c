# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Keys and shapes of released X-ViT and AVT checkpoints become a model's."""
import math

import pytest
import torch
import torch.nn.functional as F
from helpers.tools import tool_fixture
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

from mmaction_memvit.models.checkpoints.released import convert_released

tool = tool_fixture('tools/convert_memvit.py')
SMALL = dict(width=32, depth=2, patch=8, side=2, inner=48, layers=2,
             positions=6, classes=7)


def with_bias(name, *shape, out=0):
    """A weight and its bias, which is as long as dimension ``out``."""
    return {f'{name}.weight': shape, f'{name}.bias': shape[out:out + 1]}


def block(width, name):
    """Shapes of a block of a ViT."""
    for part, *shape in (('norm1', width), ('attn.qkv', 3 * width, width),
                         ('attn.proj', width, width), ('norm2', width),
                         ('mlp.fc1', 4 * width, width),
                         ('mlp.fc2', width, 4 * width)):
        yield from with_bias(f'{name}.{part}', *shape).items()


def vit(width, depth, patch, side):
    """Shapes of timm's ViT without classifier."""
    return {
        'cls_token': (1, 1, width),
        'pos_embed': (1, 1 + side**2, width),
        **with_bias('patch_embed.proj', width, 3, patch, patch),
        **with_bias('norm', width),
        **{k: v for i in range(depth) for k, v in block(width, f'blocks.{i}')}}


def gpt(inner, layers, positions):
    """Shapes of GPT-2 without words; weights are (in, out)."""
    shapes = {'wpe.weight': (positions, inner), **with_bias('ln_f', inner)}
    for i in range(layers):
        shapes[f'h.{i}.attn.bias'] = (1, 1, positions, positions)
        shapes[f'h.{i}.attn.masked_bias'] = ()
        for name, *shape in (('attn.c_attn', inner, 3 * inner),
                             ('attn.c_proj', inner, inner),
                             ('mlp.c_fc', inner, 4 * inner),
                             ('mlp.c_proj', 4 * inner, inner)):
            shapes.update(with_bias(f'h.{i}.{name}', *shape, out=1))
        for name in ('ln_1', 'ln_2'):
            shapes.update(with_bias(f'h.{i}.{name}', inner))
    return shapes


def avt(width=768, depth=12, patch=16, side=14, inner=2048, layers=6,
        positions=1024, classes=3806, backbone=True):
    """Shapes of AVT's released tensors, by their names."""
    shapes = {f'future_predictor.gpt_model.{k}': v
              for k, v in gpt(inner, layers, positions).items()}
    if backbone:
        shapes.update({f'backbone.model.{k}': v
                       for k, v in vit(width, depth, patch, side).items()})
    shapes['future_predictor.encoder.weight'] = (inner, width)
    shapes['future_predictor.decoder.weight'] = (width, inner)
    shapes.update(with_bias('classifiers.action', classes, width))
    for task, num in (('verb', 97), ('noun', 300)):
        shapes[f'cls_map_{task}_action'] = (classes, num)
    return shapes


def xvit(width=768, depth=12, patch=16, side=14, classes=600):
    """Shapes of X-ViT's released tensors, by their names."""
    shapes = {f'base_model.{k}': v
              for k, v in vit(width, depth, patch, side).items()}
    # The released model has 8, also for 16 frames.
    shapes['base_model.temp_embed'] = (1, 8, 1, width)
    shapes['consensus.cls_token'] = (1, 1, width)
    shapes.update(block(width, 'consensus.temporal_encoder.0'))
    del shapes['consensus.temporal_encoder.0.attn.qkv.bias']
    for name, *shape in (('new_fc', classes, width),
                         ('consensus.mlp_head.0', width),
                         ('consensus.mlp_head.1', width, width),
                         ('consensus.mlp_head.4', classes, width)):
        shapes.update(with_bias(name, *shape))
    return shapes


def tensors(shapes, prefix=''):
    """Tensors without content."""
    return {prefix + k: torch.empty(v, device='meta')
            for k, v in shapes.items()}


def shapes_of(state):
    return {k: v.shape for k, v in state.items()}


def xvit_model(classes=600, **kwargs):
    init_default_scope('mmaction')
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(type='XViT', group_length=8, **kwargs),
            cls_head=dict(
                type='MViTHead', in_channels=kwargs.get('arch', {}).get(
                    'embed_dims', 768), num_classes=classes)))


def avt_model(width=768, depth=12, patch=16, side=14, inner=2048, layers=6,
              positions=1024, classes=3806, backbone=True):
    init_default_scope('mmaction')
    images = dict(
        type='XViT',
        arch=dict(embed_dims=width, num_layers=depth, num_heads=width // 64
                  if width > 64 else 2),
        patch_size=patch, spatial_size=patch * side, window=0,
        temporal_positions=0, temporal_head='frames')
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=images if backbone else dict(type='FeatureBackbone'),
            cls_head=dict(
                type='AVTHead', num_classes=classes, in_channels=width,
                dims=inner, num_layers=layers, max_len=positions)))


PAIRS = [[i % 97, i // 97] for i in range(3806)]


def maps_of(pairs, prefix='', sizes=(97, 300)):
    """Buffers of which verb and noun each action has."""
    return {f'{prefix}cls_map_{task}_action':
            F.one_hot(torch.tensor(pairs)[:, i], num).float()
            for i, (task, num) in enumerate(zip(('verb', 'noun'), sizes))}


@pytest.mark.parametrize(('options', 'count'), [
    (dict(), 243),
    (dict(prefix='module.'), 243),
    # Over the features of TSN.
    (dict(width=1024, backbone=False), 93)
])
def test_every_tensor_of_avt_is_used_or_named(options, count):
    prefix = options.pop('prefix', '')
    state = {**tensors(avt(**options), prefix), **maps_of(PAIRS, prefix)}
    assert len(state) == count
    checkpoint = dict(model=state, optimizer={}, epoch=50)
    done = convert_released(checkpoint)
    assert sorted(done.dropped) == sorted(
        ['cls_map_noun_action', 'cls_map_verb_action'] + [
            f'future_predictor.gpt_model.h.{i}.attn.{x}'
            for i in range(6) for x in ('bias', 'masked_bias')])
    assert done.dataset_meta == dict(action_pairs=PAIRS)
    with torch.device('meta'):
        own = avt_model(**options).state_dict()
    assert shapes_of(done.state) == shapes_of(own)


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('classes', [600, 174])
def test_every_tensor_of_xvit_is_used_or_named(prefix, classes):
    state = tensors(xvit(classes=classes), prefix)
    assert len(state) == 171
    done = convert_released(dict(model_state=state, epoch=30))
    assert done.dropped == ['new_fc.weight', 'new_fc.bias']
    with torch.device('meta'):
        own = xvit_model(classes).state_dict()
    assert shapes_of(done.state) == shapes_of(own)


# With the first the features would be others.
@pytest.mark.parametrize('make, key, count', [
    (avt, 'backbone.model.pre_logits.fc.weight', 244),
    (xvit, 'base_model.head.weight', 172)])
def test_what_is_unknown_is_told(make, key, count):
    state = {**tensors(make()), key: torch.empty(768, 768)}
    if make is avt:
        state.update(maps_of(PAIRS))
    with pytest.raises(ValueError, match=f'1 of {count} .*{key}'):
        convert_released(state)


def test_actions_of_other_data_sets():
    """Where an action may have no verb, or nothing is told."""
    none = {**maps_of(PAIRS), 'cls_map_verb_action': torch.zeros(3806, 97)}
    for maps in (none, {}):
        state = {k: v for k, v in tensors(avt()).items() if 'cls_map' not in k}
        assert convert_released({**state, **maps}).dataset_meta == {}


@pytest.mark.parametrize('make, name, key', [
    (avt, 'AVT', 'module.future_predictor.gpt_model.wpe.weight'),
    (xvit, 'X-ViT', 'module.base_model.patch_embed.proj.weight')])
def test_what_a_part_lacks_is_told(make, name, key):
    state = tensors(make(), 'module.')
    del state[key]
    with pytest.raises(ValueError, match=f'{name} .*no {key}'):
        convert_released(state)


@pytest.mark.parametrize('key', [
    'wte.weight', 'backbone.model.cls_token', 'patch_embed.proj.weight'])
def test_something_else(key):
    with pytest.raises(ValueError, match=f'not a released .*{key}'):
        convert_released({key: torch.zeros(1)})


@pytest.mark.parametrize('damage', [
    lambda whole: whole[:len(whole) // 2], lambda whole: b'<html>404</html>',
    lambda whole: b''])
def test_files_that_are_damaged(tool, tmp_path, damage):
    path = tmp_path / 'avt.pyth'
    torch.save(dict(model={k: torch.zeros(v)
                           for k, v in avt(**SMALL).items()}), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SystemExit, match='cannot be read .*Remedy'):
        tool.main([str(path), str(tmp_path / 'out.pth')])
    assert not (tmp_path / 'out.pth').exists()


def as_released(state, clips):
    """What the released weights give, step by step as papers write it.

    ``clips`` (B, 3, T, H, W); gives the scores of each step's next action.
    """
    def norm(x, name, eps):
        return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'],
                            state[f'{name}.bias'], eps)

    def heads(x, num):
        return x.unflatten(-1, (num, -1)).transpose(-3, -2)

    def attend(q, k, v, mask=None):
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores + mask
        return (scores.softmax(-1) @ v).transpose(-3, -2).flatten(-2)

    def linear(x, name, transposed=False):
        weight = state[f'{name}.weight']
        out = x @ (weight if transposed else weight.t())
        bias = state.get(f'{name}.bias')
        return out if bias is None else out + bias

    # timm's ViT by frame: (B, T, C)
    batch, frames = clips.shape[0], clips.shape[2]
    images = clips.transpose(1, 2).flatten(0, 1)
    vit = 'backbone.model.'
    weight = state[f'{vit}patch_embed.proj.weight']
    patches = F.unfold(images, weight.shape[-1], stride=weight.shape[-1])
    x = patches.transpose(1, 2) @ weight.flatten(1).t() + state[
        f'{vit}patch_embed.proj.bias']
    x = torch.cat((state[f'{vit}cls_token'].expand(len(x), -1, -1), x), 1)
    x = x + state[f'{vit}pos_embed']
    for i in range(SMALL['depth']):
        block = f'{vit}blocks.{i}.'
        q, k, v = linear(norm(x, f'{block}norm1', 1e-6),
                         f'{block}attn.qkv').chunk(3, -1)
        out = attend(*(heads(y, 2) for y in (q, k, v)))
        x = x + linear(out, f'{block}attn.proj')
        hidden = linear(norm(x, f'{block}norm2', 1e-6), f'{block}mlp.fc1')
        x = x + linear(F.gelu(hidden), f'{block}mlp.fc2')
    x = norm(x, f'{vit}norm', 1e-6)[:, 0].unflatten(0, (batch, frames))

    # GPT-2
    gpt = 'future_predictor.gpt_model.'
    x = linear(x, 'future_predictor.encoder')
    x = x + state[f'{gpt}wpe.weight'][:frames]
    mask = torch.full((frames, frames), -torch.inf).triu(1)
    for i in range(SMALL['layers']):
        block = f'{gpt}h.{i}.'
        q, k, v = linear(norm(x, f'{block}ln_1', 1e-5), f'{block}attn.c_attn',
                         True).chunk(3, -1)
        out = attend(*(heads(y, 4) for y in (q, k, v)), mask)
        x = x + linear(out, f'{block}attn.c_proj', True)
        h = linear(norm(x, f'{block}ln_2', 1e-5), f'{block}mlp.c_fc', True)
        h = 0.5 * h * (1 + torch.tanh(
            math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
        x = x + linear(h, f'{block}mlp.c_proj', True)
    x = linear(norm(x, f'{gpt}ln_f', 1e-5), 'future_predictor.decoder')
    return linear(x, 'classifiers.action')


def test_the_tool_converts_and_outputs_are_equal(tool, tmp_path, capsys):
    gen = torch.Generator().manual_seed(0)
    state = {k: 0.3 * torch.randn(v, generator=gen)
             for k, v in avt(**SMALL).items()}
    pairs = [[i, 6 - i] for i in range(7)]
    state.update(maps_of(pairs))
    torch.save(dict(model=state, epoch=50), tmp_path / 'src.pth')
    tool.main([str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')])
    assert 'cls_map_verb_action' in capsys.readouterr().out
    ours = avt_model(**SMALL).eval()
    found = torch.load(tmp_path / 'dst.pth', weights_only=True)
    assert found['meta']['dataset_meta'] == dict(action_pairs=pairs)
    ours.load_state_dict(found['state_dict'])
    clips = torch.randn(2, 3, 5, 16, 16, generator=gen)
    with torch.no_grad():
        scores = ours(clips[:, None], stage='head')
        expected = as_released(state, clips)
    assert scores.shape == (2, 5, 7) and expected.std() > 0.1
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)


def test_the_tool_converts_xvit(tool, tmp_path, capsys):
    gen = torch.Generator().manual_seed(0)
    small = dict(width=32, depth=2, patch=8, side=2, classes=3)
    state = {k: torch.randn(v, generator=gen)
             for k, v in xvit(**small).items()}
    torch.save(dict(model_state=state), tmp_path / 'src.pth')
    tool.main([str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')])
    assert 'new_fc.weight' in capsys.readouterr().out
    loaded = xvit_model(3, arch=dict(embed_dims=32, num_layers=2, num_heads=2),
                        patch_size=8, spatial_size=16)
    found = torch.load(tmp_path / 'dst.pth', weights_only=True)
    loaded.load_state_dict(found['state_dict'])
    assert torch.equal(loaded.backbone.temporal.proj.bias,
                       state['consensus.mlp_head.1.bias'])
