# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Frames of a clip, their size, and what the model is made for."""
from collections.abc import Iterator
from typing import Optional

from mmengine.utils import to_2tuple

from mmaction_memvit.models.backbones.memvit_options import read_arch

from .findings import Finding
from .part import Part
from .pipelines import SAMPLING, shows_features
from .run import Loader, Run

#: Frames in evaluation that are so much larger than in training are odd.
_LARGER = 1.5


def clip_option(loader: Loader, option: str) -> Optional[int]:
    """``clip_len`` and the like of what chooses the frames."""
    own = loader.dataset.get(option)
    if own is not None:
        return own
    step = loader.find(*SAMPLING)
    return None if step is None else step.get(option)


def frame_size(loader: Loader) -> Optional[tuple[int, int]]:
    """Height and width of frames, None if videos or chance decide."""
    size = None
    for step in loader.steps():
        if step.is_a('LoadVideoClip'):
            size = step.get('size')
        elif step.is_a('Resize'):
            size = None if step.get('keep_ratio') else step.get('scale')
        elif step.is_a('MultiScaleCrop'):
            size = step.get('input_size')
        elif step.is_a('RandomResizedCrop', 'RandomRescale'):
            size = None
        elif step.is_a('CenterCrop', 'ThreeCrop', 'TenCrop'):
            size = step.get('crop_size')
        elif step.is_a('RandomCrop'):
            size = step.get('size')
        elif step.is_stranger:
            size = None
    if size is None or min(to_2tuple(size)) < 1:
        return None
    width, height = to_2tuple(size)
    return height, width


def total_stride(backbone: Part) -> tuple[int, int]:
    """Frames, and rows of a frame, that become one token of MeMViT."""
    if not backbone.is_config:
        return backbone.value.total_stride[:2]
    patch = backbone.get('patch_cfg')['stride']
    arch = read_arch(backbone.get('arch'))
    return patch[0], patch[1] * 2**len(arch['downscale_indices'])


def clips_fit_model(run: Run) -> Iterator[Finding]:
    """Clips and frames other than MeMViT is made for."""
    backbone = run.backbone
    if backbone is None or not backbone.is_a('MeMViT'):
        return
    frames = backbone.get('temporal_size')
    stride = total_stride(backbone)
    wanted = to_2tuple(backbone.get('spatial_size'))
    told = set()
    for loader in run.loaders:
        clip_len, size = clip_option(loader, 'clip_len'), frame_size(loader)
        path = f'{loader.path}.dataset'
        if clip_len is not None and (clip_len < stride[0]
                                     or clip_len % stride[0]):
            yield Finding(
                f'{path}.clip_len', f'clip_len={clip_len} is no multiple of '
                f'the temporal stride {stride[0]} of {backbone}',
                f'clip_len={frames} in {path}')
        elif clip_len not in (None, frames) and 'clip' not in told:
            told.add('clip')
            yield Finding(
                f'{path}.clip_len', f'clip_len={clip_len}, but '
                f'{backbone.path}.temporal_size={frames}: position tables '
                'are interpolated at every step',
                f'clip_len={frames} in {path}, or '
                f'{backbone.path}.temporal_size={clip_len}', False)
        if size is None:
            continue
        if min(size) < stride[1]:
            yield Finding(
                f'{path}.pipeline', f'frames of {size[0]}x{size[1]} are less '
                f'than the stride {stride[1]} of {backbone}',
                f'frames of {wanted[0]}x{wanted[1]} in {path}.pipeline')
        elif loader.mode == 'train' and size != wanted:
            yield Finding(
                f'{path}.pipeline', f'frames of {size[0]}x{size[1]}, but '
                f'{backbone.path}.spatial_size={wanted}: position tables are '
                'resized at every step', f'{backbone.path}.spatial_size='
                f'{size}', False)


def evaluation_is_as_training(run: Run) -> Iterator[Finding]:
    """Clips in evaluation that are not those of training."""
    train = run.loader('train')
    # Features may come in steps of any length.
    if train is None or not run.is_ours or shows_features(train.dataset):
        return
    for loader in run.evaluations:
        for option in ('clip_len', 'frame_interval', 'clip_stride',
                       'sample_fps', 'keyframe_rate'):
            own, other = clip_option(loader, option), clip_option(
                train, option)
            if None not in (own, other) and own != other:
                yield Finding(
                    f'{loader.path}.dataset.{option}', f'{option}={own}, but '
                    f'training has {option}={other}',
                    f'{option}={other} in {loader.path}.dataset', False)
        size, trained = frame_size(loader), frame_size(train)
        if size and trained and not (1 <= min(size) / min(trained) <= _LARGER):
            yield Finding(
                f'{loader.path}.dataset.pipeline', 'frames of '
                f'{size[0]}x{size[1]}, but training has '
                f'{trained[0]}x{trained[1]}', 'the same size in '
                f'{loader.path}.dataset.pipeline', False)


def clips_leave_nothing_out(run: Run) -> Iterator[Finding]:
    """Frames between clips that nobody sees."""
    for loader in run.loaders:
        stride = loader.dataset.get('clip_stride')
        length, interval = (clip_option(loader, x)
                            for x in ('clip_len', 'frame_interval'))
        if not loader.is_stream or None in (stride, length, interval):
            continue
        if not isinstance(stride, int) or stride <= length * interval:
            continue
        yield Finding(
            f'{loader.path}.dataset.clip_stride', f'clip_stride={stride} is '
            f'more than the {length} x {interval} frames of a clip: '
            f'{stride - length * interval} frames between clips are never '
            'seen', f'{loader.path}.dataset.clip_stride=None', False)


def tokens_have_labels(run: Run) -> Iterator[Finding]:
    """Other numbers of labels than of temporal tokens."""
    backbone = run.backbone
    if backbone is None or not backbone.is_a('MeMViT'):
        return
    stride = total_stride(backbone)[0]
    clipwise = [x for x in run.model_parts() if x.get('per_frame') is False]
    for loader in run.loaders:
        tokens = loader.dataset.get('num_tokens')
        clip_len = clip_option(loader, 'clip_len')
        if None in (tokens, clip_len):
            continue
        scored = 1 if clipwise else clip_len // stride
        if tokens == scored:
            continue
        where = (f'by per_frame=False of {clipwise[0]}' if clipwise else
                 f'in {backbone}')
        yield Finding(
            f'{loader.path}.dataset.num_tokens', f'num_tokens={tokens}, but '
            f'clips of {clip_len} frames have {scored} temporal tokens '
            f'{where}', f'{loader.path}.dataset.num_tokens={scored}')


CHECKS = (clips_fit_model, evaluation_is_as_training,
          clips_leave_nothing_out, tokens_have_labels)
