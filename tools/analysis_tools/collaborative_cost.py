# Copyright (c) mmaction_memvit contributors. All rights reserved.
r"""What collaborative memory costs: parameters and GMACs.

    python tools/analysis_tools/collaborative_cost.py
    python tools/analysis_tools/collaborative_cost.py --reduction 1 2 4 8 \
        --memory associative average --infusion gating residual
    python tools/analysis_tools/collaborative_cost.py \
        --config configs/recognition/collaborative/MY_CONFIG.py
    python tools/analysis_tools/collaborative_cost.py --config CONFIG \
        --channels 2048 --frames 8 --num-clips 1 9 16

A config with a memory in it is counted as it stands, but for what the command
line says: N clips as in its training, crops as in its testing. GMACs are those
of one clip, 'more' than without memory; 'of N' those of the N clips that share
a memory, which has the same size whatever N is. Counted are convolutions and
matrix products, on shapes alone: nothing is computed.
"""
import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import torch
from benchmarking import markdown
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

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
DEFAULT = dict(memory='associative', infusion='gating', reduction=4)
COLUMNS = ('model', 'memory', 'infusion', 'r', 'N', 'params/M', 'GMACs',
           'more', 'of N')
# Of the paper, where a config does not tell.
SIZE, NUM_CLIPS = 256, 9


class Host(NamedTuple):
    """A model to which memory is added.

    Attributes:
        title (str): Its name.
        model (dict): Config of the model.
        channels (int | tuple): Of its last features, by pathway.
        frames (int): Of a clip.
        neck (dict): Config of its memory; empty if it has none.
        size (tuple[int, int]): Height and width of crops.
        num_clips (list[int]): Numbers of clips to count.
        taken (str): Where the last ones come from, in words.
    """

    title: str
    model: dict
    channels: object
    frames: int
    neck: dict
    size: tuple[int, int]
    num_clips: list[int]
    taken: str


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--model', nargs='+', default=list(HOSTS),
        choices=list(HOSTS), help='(default: all)')
    parser.add_argument(
        '--config', help='instead: a config of this form, mmaction::... too')
    parser.add_argument('--channels', type=int, nargs='+',
        help='channels of the last features, by pathway\n'
        '(default: those of its memory, else of its backbone)')
    parser.add_argument(
        '--frames', type=int, help="of a clip (default: the config's)")
    parser.add_argument(
        '--size',
        type=int,
        help="height, width (default: the crops of the config's testing;\n"
        f'without --config {SIZE})')
    parser.add_argument('--memory', nargs='+',
        choices=['associative', 'average'],
        help="(default: the config's, else associative)")
    parser.add_argument('--infusion', nargs='+',
        choices=['gating', 'residual'],
        help="(default: the config's, else gating)")
    parser.add_argument('--reduction', type=int, nargs='+',
        help="(default: the config's, else 4; without --config 1 2 4 8)")
    parser.add_argument(
        '--num-clips',
        type=int,
        nargs='+',
        help="N (default: num_clips of the config's training;\n"
        f'if that is 1, and without --config, {NUM_CLIPS})')
    return parser.parse_args()


def steps_of(cfg: Config, mode: str) -> Iterator[dict]:
    """Steps of the pipeline of 'train' or 'test'."""
    data = cfg.get(f'{mode}_dataloader') or {}
    while 'dataset' in data and 'pipeline' not in data:
        data = data['dataset']
    for step in data.get('pipeline', []):
        yield from step.get('transforms', [step])


def crop_of(cfg: Config) -> Optional[tuple[tuple[int, int], str]]:
    """Height and width of crops, and whose they are; None if not told."""
    for mode in ('test', 'train'):
        size = None
        for step in steps_of(cfg, mode):
            if step['type'].endswith('Crop'):
                size = step.get('crop_size', step.get('size', size))
            elif step['type'].endswith('Resize') and not step.get(
                    'keep_ratio', True):
                size = step['scale']
        if size is not None:
            width, height = (size, size) if isinstance(size, int) else size
            return (height, width), f'crops of its {mode} pipeline'
    return None


def load_host(args: argparse.Namespace, name: Optional[str]) -> Host:
    """The model of a name, or of --config."""
    path = args.config or str(CONFIGS / f'{HOSTS[name]}{END}')
    cfg = (get_config if '::' in path else Config.fromfile)(path)
    neck = dict(cfg.model.get('neck') or {})
    channels = neck.get('in_channels')
    if args.channels:
        channels = args.channels
        channels = channels[0] if len(channels) == 1 else tuple(channels)
    frames, num_clips = args.frames, None
    for step in steps_of(cfg, 'train'):
        frames = frames or step.get('clip_len')
        num_clips = num_clips or step.get('num_clips')
    title = name or args.config.split('/')[-1]
    if not cfg.model.type.endswith('Recognizer3D'):
        raise SystemExit(f'{cfg.model.type} is no Recognizer3D')
    if frames is None:
        raise SystemExit(f'{title} does not tell its frames: give --frames')
    size, num_clips, taken = sizes_of(args, cfg, num_clips)
    channels = channels or channels_of(cfg.model, (3, frames, *size))
    if not channels:
        raise SystemExit(
            f'{title} does not tell its channels: give --channels')
    return Host(title, cfg.model, channels, frames, neck, size, num_clips,
                f'{title}: clips of {frames} frames, {taken}')


def sizes_of(args: argparse.Namespace, cfg: Config, sampled: Optional[int]
             ) -> tuple[tuple[int, int], list[int], str]:
    """Height and width, numbers of clips, and where they come from."""
    size, source = (SIZE, SIZE), "the paper's, --size for others"
    if args.size:
        size, source = (args.size, args.size), '--size'
    elif args.config:
        size, source = crop_of(cfg) or (size, source)
    taken = f'{size[0]}x{size[1]} ({source})'
    num_clips, source = [NUM_CLIPS], "the paper's, --num-clips for others"
    if args.num_clips:
        num_clips, source = args.num_clips, '--num-clips'
    elif args.config and (sampled or 1) > 1:
        num_clips, source = [sampled], 'num_clips of its train pipeline'
    return size, num_clips, (
        f'{taken}; N = {", ".join(map(str, num_clips))} ({source})')


def build(cfg: dict, neck: Optional[dict]) -> torch.nn.Module:
    """The model with a memory or without, on no device."""
    cfg = Config(dict(model=cfg)).model.to_dict()
    cfg.update(neck=neck, type='CollaborativeRecognizer3D')
    # Weights are not wanted, nor a place for them.
    for part in (cfg['backbone'], *cfg['backbone'].values()):
        if isinstance(part, dict) and 'pretrained' in part:
            part['pretrained'] = None
    with torch.device('meta'):
        return MODELS.build(cfg).eval()


def channels_of(cfg: dict, size: tuple[int, ...]) -> object:
    """Channels of the backbone's features, by pathway; None if others."""
    try:
        with torch.no_grad():
            feats = build(cfg, None).backbone(
                torch.empty(1, *size, device='meta'))
    except RuntimeError:
        # Not every backbone can do without values.
        return None
    feats = feats if isinstance(feats, (tuple, list)) else [feats]
    if any(getattr(x, 'ndim', 0) != 5 for x in feats):
        return None
    channels = tuple(x.shape[1] for x in feats)
    return channels if len(channels) > 1 else channels[0]


def count(cfg: dict, size: tuple[int, ...], neck: Optional[dict],
          num_clips: int) -> tuple[int, int]:
    """Parameters, and multiply-adds of ``num_clips`` clips."""
    model = build(cfg, neck)
    inputs = torch.empty(1, num_clips, *size, device='meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs, stage='head', mode='tensor')
    params = sum(p.numel() for p in model.parameters())
    return params, counter.get_total_flops() // 2


def places_of(args: argparse.Namespace, host: Host) -> dict[str, object]:
    """Pathways with a memory, by what they are called in the table."""
    if isinstance(host.channels, int):
        return {'': host.channels}
    if args.config and host.neck and not args.channels:
        return {'': host.channels}
    slow = (host.channels[0], *[None] * (len(host.channels) - 1))
    return {' slow': slow, ' each': host.channels}


def digits(number: float, decimals: int) -> str:
    """With so many decimals, or as many as show three digits."""
    needed = 2 - math.floor(math.log10(number)) if number > 0 else 0
    return f'{number:.{max(decimals, needed)}f}'


def rows_of(args: argparse.Namespace, host: Host) -> list[list[str]]:
    """Rows of the table of a model."""
    size = (3, host.frames, *host.size)
    plain_params, plain = count(host.model, size, None, 1)
    rows = [[host.title, 'none', '', '', '', digits(plain_params / 1e6, 1),
             digits(plain / 1e9, 2), '', '']]
    options = {**DEFAULT, **host.neck, 'type': 'CollaborativeMemory'}
    reductions = args.reduction or ([options['reduction']]
                                    if args.config else [1, 2, 4, 8])
    cases = [(m, i, r, n) for m in args.memory or [options['memory']]
             for i in args.infusion or [options['infusion']]
             for r in reductions for n in host.num_clips]
    for place, where in places_of(args, host).items():
        for memory, infusion, reduction, num_clips in cases:
            neck = dict(options, memory=memory, infusion=infusion,
                        reduction=reduction, in_channels=where)
            params, macs = count(host.model, size, neck, num_clips)
            each = macs / num_clips
            rows.append([
                host.title, memory + place, infusion, f'{reduction}',
                f'{num_clips}', digits(params / 1e6, 1), digits(each / 1e9, 2),
                f'+{100 * (each / plain - 1):.1f} %', digits(macs / 1e9, 0)])
    return rows


def main() -> None:
    """Print the table."""
    args = parse_args()
    init_default_scope('mmaction')
    table = [list(COLUMNS)]
    for name in [None] if args.config else args.model:
        host = load_host(args, name)
        if args.config:
            print(host.taken, end='\n\n')
        table += rows_of(args, host)
    print(markdown(*table))


if __name__ == '__main__':
    main()
