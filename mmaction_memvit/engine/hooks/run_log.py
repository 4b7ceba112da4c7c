# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A run in a few lines: what it is before its first step, how an epoch was."""
import math
import sys
from typing import List, Optional

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmaction_memvit.memory.state import nbytes


def describe_run(runner: Runner, model: nn.Module, mode: str) -> str:
    """Data, lanes and memory of what is about to start.

    ``mode`` is 'train', with what validates it, or 'test'.
    """
    modes = ('train', 'val') if mode == 'train' else (mode, )
    loops = {x: getattr(runner, f'{x}_loop') for x in modes}
    loaders = {x: loop.dataloader for x, loop in loops.items() if loop}
    steps = f'{len(loaders[mode]):,} steps'
    if mode == 'train':
        steps = (f'{runner.max_iters:,} steps' if runner.max_epochs == 1
                 else f'{steps} an epoch, {runner.max_epochs} epochs')
    lines = [
        'data    ' + '; '.join(
            f'{x}: {_data(loader)}' for x, loader in loaders.items()),
        f'lanes   {_lanes(loaders[mode])}; {steps}',
        f'memory  {_memory(model)}']
    return '\n  '.join([f'This run, {mode}:', *lines])


def _data(loader: DataLoader) -> str:
    dataset = loader.dataset
    keys = getattr(dataset, 'stream_keys', None)
    if not callable(keys):
        return f'{len(dataset):,} samples'
    videos = len({video for video, _ in keys()})
    share = 1 - videos / max(len(dataset), 1)
    return (f'{len(dataset):,} clips of {videos:,} videos, of which '
            f'{share:.1%} can continue a stream')


def _lanes(loader: DataLoader) -> str:
    sampler = loader.batch_sampler
    lanes, ranks = sampler.batch_size, get_world_size()
    text = f'{lanes} on {ranks} process{"es" * (ranks > 1)}'
    unroll = getattr(sampler, 'unroll', 1)
    return text + f', {unroll} clips of each a step' * (unroll > 1)


def _memory(model: nn.Module) -> str:
    if not getattr(model, 'with_memory', False):
        return 'none'
    held = nbytes(model.init_memory(1, device=torch.device('meta')))
    reach = model.clips_back()
    text = f'{held / 2**20:.3g} MiB a lane'
    unit = 'vectors' if any(getattr(part, 'per_frame', False)
                            for part in model.memory_parts()) else 'clips'
    return text + (f', reaches {reach:g} {unit} back'
                   if reach < math.inf else '')


def describe_time(seconds: float, clips: int) -> List[str]:
    """How long an epoch took, and the most memory that was needed."""
    parts = [f'{seconds / 60:.1f} min' if seconds >= 60 else
             f'{seconds:.1f} s']
    if clips and seconds:
        parts.append(f'{clips / seconds:.3g} clips a second')
    peak = _peak_mib()
    return parts + ([f'peak {peak:,.0f} MiB'] if peak else [])


def _peak_mib() -> Optional[float]:
    """Of the GPU; without one, of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # on Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == 'darwin' else 2**10)
