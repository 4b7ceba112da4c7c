# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What collaborative memory costs: parameters and GMACs beside the paper's.

    python tools/analysis_tools/collaborative_cost.py
    python tools/analysis_tools/collaborative_cost.py --reduction 1 2 4 8 \
        --memory associative average --infusion gating residual
    python tools/analysis_tools/collaborative_cost.py --config CONFIG \
        --channels 2048 --frames 8 --num-clips 1 9 16

GMACs are those of one clip; 'of N' those of the N clips that share a memory,
which has the same size whatever N is. Counted are convolutions and matrix
products, on shapes alone: nothing is computed.
"""
import argparse
from typing import Dict, List, Optional, Tuple

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

# Name: MMAction2's config, channels of the pathways, frames.
HOSTS = {
    'SlowOnly-50 8x8':
    ('slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb', 2048, 8),
    'SlowFast-50 4x16':
    ('slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb', (2048, 256),
     32),
    'SlowFast-101 8x8':
    ('slowfast/slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb', (2048, 256),
     32),
}
# GFLOPs of a clip that the paper prints, multiply-adds: without, with memory.
PAPER_GMACS = {'SlowFast-50 4x16': (36, 37), 'SlowFast-101 8x8': (126, 128)}
DEFAULT = ('associative', 'gating', 4)
# Millions of parameters by reduction.
PAPER_PARAMS = {'SlowOnly-50 8x8': {1: 49.2, 2: 40.9, 4: 36.7, 8: 34.6}}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        '--model', nargs='+', default=list(HOSTS), choices=list(HOSTS))
    parser.add_argument(
        '--config', help='instead: a config of this form, mmaction::... too')
    parser.add_argument(
        '--channels',
        type=int,
        nargs='+',
        help='with --config: channels of its last features, by pathway')
    parser.add_argument(
        '--frames', type=int, default=8, help='with --config (default: 8)')
    parser.add_argument(
        '--size', type=int, default=256, help='height, width (default: 256)')
    parser.add_argument(
        '--memory',
        nargs='+',
        default=['associative'],
        choices=['associative', 'average'])
    parser.add_argument(
        '--infusion',
        nargs='+',
        default=['gating'],
        choices=['gating', 'residual'])
    parser.add_argument(
        '--reduction', type=int, nargs='+', default=[1, 2, 4, 8])
    parser.add_argument('--num-clips', type=int, nargs='+', default=[9])
    args = parser.parse_args()
    if args.config and not args.channels:
        parser.error('--config needs --channels')
    return args


def load_host(args: argparse.Namespace, name: Optional[str]) -> Tuple:
    """Model config, channels of the pathways and frames."""
    if name is None:
        channels = args.channels
        channels = channels[0] if len(channels) == 1 else tuple(channels)
        find = get_config if '::' in args.config else Config.fromfile
        return find(args.config).model, channels, args.frames
    path, channels, frames = HOSTS[name]
    cfg = get_config(f'mmaction::recognition/{path}.py')
    return cfg.model, channels, frames


def count(cfg: dict, size: Tuple[int, ...], neck: Optional[dict],
          num_clips: int) -> Tuple[int, int]:
    """Parameters, and multiply-adds of ``num_clips`` clips."""
    cfg = Config(dict(model=cfg)).model.to_dict()
    cfg.update(neck=neck, type=f'Collaborative{cfg["type"]}')
    # Weights are not wanted, nor a place for them.
    for part in (cfg['backbone'], *cfg['backbone'].values()):
        if isinstance(part, dict) and 'pretrained' in part:
            part['pretrained'] = None
    with torch.device('meta'):
        model = MODELS.build(cfg).eval()
        inputs = torch.empty(1, num_clips, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs, stage='head', mode='tensor')
    params = sum(p.numel() for p in model.parameters())
    return params, counter.get_total_flops() // 2


def rows_of(args: argparse.Namespace, name: Optional[str]) -> List[List[str]]:
    """Rows of the table of a model."""
    cfg, channels, frames = load_host(args, name)
    if cfg.type != 'Recognizer3D':
        raise SystemExit(f'{cfg.type} is no Recognizer3D')
    size = (3, frames, args.size, args.size)
    title = name or args.config.split('/')[-1]
    places: Dict[str, object] = {'': channels}
    if not isinstance(channels, int):
        slow = (channels[0], *[None] * (len(channels) - 1))
        places = {' slow': slow, ' each': channels}
    plain_params, plain = count(cfg, size, None, 1)
    paper = PAPER_GMACS.get(name, ('', ''))
    rows = [[
        title, 'none', '', '', '', f'{plain_params / 1e6:.1f}', '',
        f'{plain / 1e9:.2f}', '', f'{paper[0]}', ''
    ]]
    cases = [(m, i, r, n) for m in args.memory for i in args.infusion
             for r in args.reduction for n in args.num_clips]
    for place, where in places.items():
        for memory, infusion, reduction, num_clips in cases:
            neck = dict(
                type='CollaborativeMemory',
                in_channels=where,
                memory=memory,
                infusion=infusion,
                reduction=reduction)
            params, macs = count(cfg, size, neck, num_clips)
            default = (memory, infusion, reduction) == DEFAULT
            known = PAPER_PARAMS.get(name, {}).get(reduction, '')
            rows.append([
                title, memory + place, infusion, f'{reduction}',
                f'{num_clips}', f'{params / 1e6:.1f}', f'{known}',
                f'{macs / num_clips / 1e9:.2f}',
                f'+{100 * (macs / num_clips / plain - 1):.1f} %',
                f'{paper[1] if default else ""}', f'{macs / 1e9:.0f}'
            ])
    return rows


def main() -> None:
    """Print the table."""
    args = parse_args()
    init_default_scope('mmaction')
    table = [[
        'model', 'memory', 'infusion', 'r', 'N', 'params/M', 'paper',
        'GMACs', 'more', 'paper', 'of N'
    ]]
    table.append(['---'] * len(table[0]))
    for name in [None] if args.config else args.model:
        table += rows_of(args, name)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = (x.ljust(w) for x, w in zip(row, widths))
        print('| ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
