# Copyright (c) mmaction_memvit contributors. All rights reserved.
r"""What collaborative memory costs: parameters and GMACs of a clip.

    python tools/analysis_tools/collaborative_cost.py
    python tools/analysis_tools/collaborative_cost.py --reduction 1 2 4 8 \
        --cfg-options model.neck.memory=average
    python tools/analysis_tools/collaborative_cost.py \
        --config configs/recognition/collaborative/MY_CONFIG.py

A config is counted as it stands, with its memory and without, but for what
the command line says; clips are those of its training. A config without a
memory gets one by --cfg-options model.neck.in_channels=2048. Counted are
convolutions and matrix products, on shapes alone: nothing is computed.
"""
import argparse
import copy
import math
from pathlib import Path
from typing import Optional

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import torch
from benchmarking import markdown
from benchmarking.costs import without_files
from benchmarking.sampling import clips_of
from mmaction.registry import MODELS
from mmengine.config import Config, DictAction
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from mmaction_memvit.command_line import make_parser

CONFIGS = Path(__file__).resolve().parents[2] / \
    'configs/recognition/collaborative'
END = '-n8-15e_kinetics400-rgb.py'
HOSTS = {
    'SlowOnly-50 8x8': 'slowonly_r50-memory_k400-pre_8xb1-8x8x1',
    'SlowFast-50 4x16': 'slowfast_r50-memory_k400-pre_8xb1-4x16x1',
    'SlowFast-101 8x8': 'slowfast_r101-memory_k400-pre_8xb1-8x8x1',
    'SlowFast-101+NL 8x8': 'slowfast_r101-nl-memory_k400-pre_8xb1-8x8x1',
    'R(2+1)D-34 32x2': 'r2plus1d_r34-memory_k400-pre_8xb1-32x2x1',
    'R(2+1)D-101 32x2': 'r2plus1d_r101-memory_8xb1-32x2x1',
}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--model', nargs='+', default=list(HOSTS), choices=list(HOSTS),
        help='(default: all)')
    add('--config', help='instead: a config of this form, mmaction::... too')
    add('--size', type=int, help="height, width (default: the config's;\n"
        "without --config 256, the paper's)")
    add('--reduction', type=int, nargs='+',
        help="(default: the config's, else 4; without --config 1 2 4 8)")
    add('--cfg-options', nargs='+', action=DictAction,
        help='override settings of the config, as key=value pairs')
    return parser.parse_args()


def count(model: dict, neck: Optional[dict], size: tuple,
          num_clips: int) -> tuple[int, float]:
    """Parameters, and multiply-adds of each of ``num_clips`` clips."""
    model = without_files(copy.deepcopy(model))
    model.update(neck=neck, type='CollaborativeRecognizer3D')
    with torch.device('meta'), torch.no_grad():
        built = MODELS.build(model).eval()
        inputs = torch.empty(1, num_clips, *size)
        with FlopCounterMode(display=False) as counter:
            built(inputs, stage='head', mode='tensor')
    return (sum(p.numel() for p in built.parameters()),
            counter.get_total_flops() / 2 / num_clips)


def rows_of(args: argparse.Namespace, title: str,
            path: str) -> list[list[str]]:
    """Rows of the table of a config."""
    cfg = (get_config if '::' in path else Config.fromfile)(path)
    cfg.merge_from_dict(args.cfg_options or {})
    num_clips, frames, side = clips_of(cfg)
    side = args.size or (side if args.config else 256)
    size = 3, frames, side, side
    neck = dict(dict(type='CollaborativeMemory', reduction=4),
                **cfg.model.get('neck') or {})
    if not neck.get('in_channels'):
        raise SystemExit(f'{title} has no memory. Remedy: --cfg-options '
                         'model.neck.in_channels=2048, its last features')
    params, plain = count(cfg.model, None, size, 1)
    cases = [('none', params, plain, '')]
    for r in args.reduction or (
            [neck['reduction']] if args.config else [1, 2, 4, 8]):
        params, macs = count(cfg.model, dict(neck, reduction=r), size,
                             max(num_clips, 2))
        cases.append((f'r = {r}', params, macs, f'+{macs / plain - 1:.1%}'))
    return [[title, memory, f'{params / 1e6:.{digits(params / 1e6, 1)}f}',
             f'{macs / 1e9:.{digits(macs / 1e9, 2)}f}', more]
            for memory, params, macs, more in cases]


def digits(number: float, least: int) -> int:
    """Decimals of a number above 0: three digits at least."""
    return max(least, 2 - math.floor(math.log10(number)))


def main() -> None:
    args = parse_args()
    init_default_scope('mmaction')
    paths = {x: str(CONFIGS / f'{HOSTS[x]}{END}') for x in args.model}
    if args.config:
        paths = {args.config.split('/')[-1]: args.config}
    print(markdown(['model', 'memory', 'params/M', 'GMACs a clip', 'more'],
                   *sum((rows_of(args, *x) for x in paths.items()), [])))


if __name__ == '__main__':
    main()
