# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The keys and shapes of the released AVA checkpoints become a detector's."""
import itertools
import re
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config

from mmaction_memvit.models.checkpoints.released import convert_released

ROOT = Path(__file__).resolve().parents[3]
# Frames of a clip, blocks, those before which the grid halves, tensors.
RELEASED = {'memvit-small-p244-m2g2_k400': (16, 16, (1, 3, 14), 621),
            'memvit-base-p244-m2g3_k600': (32, 24, (2, 5, 21), 917)}


def block(width, out, heads, grid, pooled, frames):
    """Shapes of a block's tensors.

    Args:
        width (int): Channels that come in; ``out`` go out.
        heads (int): Of attention.
        grid (int): Height of the grid of queries; ``pooled`` that of keys.
        frames (int): Of the grid.
    """
    yield 'norm1', (width, )
    yield 'norm2', (out, )
    for name in 'qkv':
        yield f'attn.{name}', (out, width)
        yield f'attn.pool_{name}.weight', (width // heads, 1, 3, 3, 3)
        yield f'attn.norm_{name}', (width // heads, )
    for name in 'kv':
        yield f'attn.compress_{name}.weight', (width, 1, 7, 3, 3)
        yield f'attn.norm_compress_{name}', (width, )
    yield 'attn.proj', (out, out)
    for name, keys, rows in (('', pooled, 2 * frames - 1),
                             ('mem_', -(-pooled // 2), 3 * frames - 1)):
        yield f'attn.rel_pos_{name}t', (rows, 96)
        for axis in 'hw':
            yield (f'attn.rel_pos_{name}{axis}', (2 * max(grid, keys) - 1, 96))
    yield 'mlp.fc1', (4 * out, out)
    yield 'mlp.fc2', (out, 4 * out)
    if width != out:
        yield 'proj', (out, width)


def box_block(width):
    """Shapes of the block over boxes."""
    for name in ('norm1', 'norm2'):
        yield name, (width, )
    for name in ('q', 'k', 'v', 'proj'):
        yield f'attn.{name}', (width, width)
    yield 'mlp.fc1', (4 * width, width)
    yield 'mlp.fc2', (width, 4 * width)


def released(frames, num_blocks, halved):
    """All tensors of a released checkpoint: (name, shape)."""
    width, heads, grid, frames = 96, 1, 56, frames // 2
    parts = [('patch_embed.proj', (width, 3, 3, 7, 7))]
    for i in range(num_blocks):
        out = width * (2 if i in halved else 1)
        heads *= 2 if i in halved else 1
        # Keys are pooled to 7 rows, or as far as whole strides reach.
        queries = grid // 2 if i in halved else grid
        pooled = grid // max(8 * queries // 56, 1)
        parts += [(f'blocks.{i}.{name}', shape) for name, shape in block(
            width, out, heads, queries, pooled, frames)]
        width, grid = out, queries
    parts += [('norm', (width, )), ('head.projection', (80, width))]
    parts += [(f'box_blocks.0.{x}', shape) for x, shape in box_block(width)]
    yield 'cls_token', (1, 1, 96)
    for name, shape in parts:
        if name.endswith('.weight') or '.rel_pos_' in name:
            yield name, shape
        else:
            yield f'{name}.weight', shape
            yield f'{name}.bias', shape[:1]


def convert(name):
    """What becomes of a released checkpoint, and what it was."""
    frames, num_blocks, halved, _ = RELEASED[name]
    state = {key: torch.ones(()).expand(shape)
             for key, shape in released(frames, num_blocks, halved)}
    odd = [*range(1, num_blocks, 2)]
    cfg = f'MEMVIT:\n  ENABLE: true\n  EXCLUDE_LAYERS: {odd}\n'
    return state, convert_released(dict(model_state=state, cfg=cfg))


@pytest.mark.parametrize('name', RELEASED)
def test_no_key_is_missing_or_left_over(name):
    pytest.importorskip('mmdet')
    state, done = convert(name)
    frames, num_blocks, _, tensors = RELEASED[name]
    assert len(state) == tensors
    assert done.mem_layers == tuple(range(0, num_blocks, 2))
    assert len(done.dropped) == 9 * num_blocks // 2
    path, = (ROOT / 'configs/detection/memvit').glob(f'{name}*.py')
    model = Config.fromfile(str(path)).model
    model.backbone.init_cfg = None
    with torch.device('meta'):
        model = MODELS.build(model)
    assert {k: tuple(v.shape) for k, v in done.state.items()} == {
        k: tuple(v.shape) for k, v in model.state_dict().items()}


def key_of_memory(key):
    return 'compress' in key or 'rel_pos_mem' in key


def expand(pattern):
    """Names that a pattern with {a,b} stands for."""
    parts = re.split(r'\{(.*?)\}', pattern)
    return map(''.join, itertools.product(*(
        part.split(',') if i % 2 else [part] for i, part in enumerate(parts))))


def test_the_page_tells_what_becomes_of_each_key():
    text = (ROOT / 'docs/convert_weights.md').read_text()
    text = text.partition('## X-ViT')[0]
    told = {}
    for old, new in re.findall(r'^\| `(.+?)` \| (.+) \|$', text, re.M):
        # The last of several: a detector's.
        new = re.findall(r'`(.+?)`', new)[-1]
        told.update(zip(expand(old), expand(new)))
    state, done = convert('memvit-small-p244-m2g2_k400')
    for key in state:
        number = re.search(r'blocks\.(\d+)\.', key)
        key = key.replace(f'.{number[1]}.', '.i.', 1) if number else key
        new = told[key]
        if number:
            new = new.replace('.i.', f'.{number[1]}.')
        assert (new in done.state) != (key_of_memory(key)
                                       and int(number[1]) % 2 == 1), new
    assert {re.sub(r'blocks\.\d+', 'blocks.i', key)
            for key in done.state} == set(told.values())
