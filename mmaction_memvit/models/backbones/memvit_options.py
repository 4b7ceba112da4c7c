# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads and checks the options of MeMViT; all raise ValueError."""
import warnings
from typing import Dict, Sequence, Tuple, Union

from ..layers.pooling_attention import Size

ARCHS = {
    'tiny': {
        'embed_dims': 32,
        'num_layers': 4,
        'num_heads': 1,
        'downscale_indices': [1, 2, 3]
    },
    'small': {
        'embed_dims': 96,
        'num_layers': 16,
        'num_heads': 1,
        'downscale_indices': [1, 3, 14]
    },
    'base': {
        'embed_dims': 96,
        'num_layers': 24,
        'num_heads': 1,
        'downscale_indices': [2, 5, 21]
    },
}


def read_arch(arch: Union[str, Dict]) -> Dict:
    """Settings of an architecture: a name, or a dict of its own."""
    if isinstance(arch, dict):
        keys = {
            'embed_dims', 'num_layers', 'num_heads', 'downscale_indices'
        }
        if not keys <= set(arch):
            raise ValueError(f'arch lacks {sorted(keys - set(arch))}; a '
                             f'custom arch needs {sorted(keys)}')
        return arch
    if str(arch).lower() not in ARCHS:
        raise ValueError(f'arch {arch!r} is not one of '
                         f'{sorted(ARCHS)}; name one of them or '
                         'give a dict')
    return ARCHS[arch.lower()]


def memory_layers(mem_layers: Union[str, Sequence[int]],
                  depth: int) -> Tuple[int, ...]:
    """Indices of the blocks that remember, of ``depth``."""
    if isinstance(mem_layers, str):
        if mem_layers not in ('even', 'all'):
            raise ValueError(f'mem_layers is {mem_layers!r}, but must be '
                             "'even', 'all' or a sequence of block indices")
        return tuple(range(0, depth, 2 if mem_layers == 'even' else 1))
    bad = [i for i in mem_layers if not 0 <= i < depth]
    if bad:
        raise ValueError(f'mem_layers has {bad}, but the {depth} blocks are '
                         f'numbered 0 to {depth - 1}')
    return tuple(sorted(set(mem_layers)))


def read_scales(out_scales: Union[int, Sequence[int]],
                num_scales: int) -> Tuple[int, ...]:
    """Stages to put out, in their order."""
    if isinstance(out_scales, int):
        out_scales = [out_scales]
    scales = sorted(s + num_scales if s < 0 else s for s in out_scales)
    if not scales or not 0 <= scales[0] <= scales[-1] < num_scales:
        raise ValueError(f'out_scales is {out_scales}, but the stages '
                         f'are numbered 0 to {num_scales - 1}')
    return tuple(scales)


def check_causal(patch_cfg: Dict) -> None:
    """Check that no token's patches reach beyond the token's frames."""
    kernel, stride = patch_cfg['kernel_size'][0], patch_cfg['stride'][0]
    padding = patch_cfg.get('padding', (0, 0, 0))[0]
    if kernel - padding > stride:
        raise ValueError(
            f'the patch embedding (in time: kernel {kernel}, stride '
            f'{stride}, padding {padding}) sees frames after those of '
            'its token, so the model would not be causal: padding must '
            f'be at least kernel - stride, {kernel - stride}')


def check_clip(frames: int, height: int, width: int, stride: Size) -> None:
    """Check that a clip has tokens after all strides (T, H, W)."""
    bad = [
        f'{name} {value} (at least {s})'
        for name, value, s in zip(('frames', 'height', 'width'), (
            frames, height, width), stride) if value < s
    ]
    if not bad and frames % stride[0]:
        bad = [f'frames {frames} (a multiple of {stride[0]})']
    if bad:
        raise ValueError(
            f'a clip of {frames} frames of {height}x{width} does not fit '
            f'the strides of MeMViT: {", ".join(bad)}; resize or crop '
            'the frames, or change clip_len')


def check_removed(options: Dict) -> None:
    """Take ``dim_mul_in_attention``, which has one value; nothing else."""
    for name, value in options.items():
        if name != 'dim_mul_in_attention':
            raise TypeError(f'MeMViT has no option {name!r}')
        if not value:
            raise ValueError(
                "dim_mul_in_attention=False is MViT's older layout; MeMViT "
                'widens inside attention: drop the argument')
        warnings.warn(
            'dim_mul_in_attention is no option any more, MeMViT always widens '
            'inside attention: drop the argument',
            FutureWarning,
            stacklevel=3)
