# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads and checks the options of MeMViT; all raise ValueError."""
from typing import Dict, Optional, Sequence, Tuple, Union

from mmaction_memvit.messages import check_choice, check_whole

from ..layers.pooling_attention import Size
from ..layers.stream_memory import MemorySpec

ARCHS = {
    'tiny': dict(embed_dims=32, num_layers=4, num_heads=1,
                 downscale_indices=[1, 2, 3]),
    'small': dict(embed_dims=96, num_layers=16, num_heads=1,
                  downscale_indices=[1, 3, 14]),
    'base': dict(embed_dims=96, num_layers=24, num_heads=1,
                 downscale_indices=[2, 5, 21]),
}


def read_arch(arch: Union[str, Dict]) -> Dict:
    """Settings of an architecture: a name, or a dict of its own."""
    if isinstance(arch, dict):
        lacking = sorted(set(ARCHS['tiny']) - set(arch))
        if lacking:
            raise ValueError(f'arch lacks {lacking}')
        return arch
    check_choice('arch', str(arch).lower(), sorted(ARCHS))
    return ARCHS[arch.lower()]


def memory_spec(mem_len: int, mem_stride: int, mem_compress: Optional[dict],
                mem_mask: str, mem_compress_at: str) -> MemorySpec:
    """How the layers remember, by the options of :class:`MeMViT`."""
    check_whole('mem_len', mem_len, 0)
    check_whole('mem_stride', mem_stride)
    check_choice('mem_mask', mem_mask, ('exclude', 'zero'))
    check_choice('mem_compress_at', mem_compress_at, ('first_use', 'next'))
    if mem_compress is None:
        age = mem_len * mem_stride
    else:
        age = mem_stride if mem_compress_at == 'first_use' else 1
    return MemorySpec(mem_len, mem_stride, age, mem_compress,
                      mem_mask == 'zero')


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
            frames, height, width), stride) if value < s]
    if not bad and frames % stride[0]:
        bad = [f'frames {frames} (a multiple of {stride[0]})']
    if bad:
        raise ValueError(
            f'a clip of {frames} frames of {height}x{width} does not fit '
            f'the strides of MeMViT: {", ".join(bad)}; resize or crop '
            'the frames, or change clip_len')
