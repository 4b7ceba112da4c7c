# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Show which clip every lane of a config's batches shows at every step.

Nothing is decoded and no model is built: the data set is read and the epoch
planned, for every process or for one.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS, init_default_scope

from mmaction_memvit.datasets.samplers import StreamBatchSampler
from mmaction_memvit.visualization.stream_plan import (
    LaneTable,
    draw_lanes,
    format_lanes,
    shorten_names,
    tabulate_lanes,
)


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add('config', help='config file path')
    add('--split', choices=['train', 'val', 'test'], default='train',
        help='which data loader of the config to look at')
    add('--batch-size', type=int,
        help="lanes of one process; else the data loader's batch_size")
    add('--world-size', type=int, default=1, help='number of processes')
    add('--rank', type=int, help='show this process only')
    add('--epoch', type=int, default=0, help='number of the epoch, from 0')
    add('--seed', type=int,
        help="seed of the run; else the config's randomness, else 0")
    add('--steps', type=int, default=12, help='number of steps to show')
    add('--first-step', type=int, default=0, help='first step to show')
    add('--max-gap', type=int,
        help='largest step in position that still continues a stream; else '
        "the model's max_gap, else 1")
    add('--out', help='also draw these steps into this file, e.g. lanes.png')
    add('--cfg-options', nargs='+', action=DictAction,
        help='override settings of the config, as key=value pairs')
    args = parser.parse_args(args)
    ranks = range(max(args.world_size, 1))
    if args.rank is not None and args.rank not in ranks:
        parser.error(f'--rank is {args.rank}, must be at least 0 and less '
                     f'than --world-size, {args.world_size}')
    return args


def build_samplers(cfg: Config,
                   args: argparse.Namespace) -> list[StreamBatchSampler]:
    """Build the batch sampler of each wanted process, as the runner would."""
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise SystemExit(f'{args.config} has no {args.split}_dataloader')
    options = dict(loader.get('batch_sampler') or {})
    kind = options.pop('type', None)
    if kind is not StreamBatchSampler and str(kind).rpartition(
            '.')[2] != 'StreamBatchSampler':
        print(f'NOTE: {args.split}_dataloader has batch_sampler type {kind}. '
              'Its batches will not continue videos; this is what '
              "batch_sampler=dict(type='StreamBatchSampler') would show.")
        options = {}
    batch_size = args.batch_size or options.pop('batch_size', None) or \
        loader.get('batch_size')
    options.pop('batch_size', None)
    seed = args.seed
    if seed is None:
        seed = (cfg.get('randomness') or {}).get('seed') or 0
    dataset = DATASETS.build(loader.dataset)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    shuffle = (loader.get('sampler') or {}).get('shuffle', True)
    ranks = range(args.world_size) if args.rank is None else [args.rank]
    # A stand-in for DefaultSampler, which asks the process group for rank and
    # world size.
    return [
        StreamBatchSampler(
            SimpleNamespace(dataset=dataset, shuffle=shuffle, seed=seed,
                            epoch=args.epoch, rank=rank,
                            world_size=args.world_size), batch_size, **options)
        for rank in ranks
    ]


def summarise(samplers: Sequence[StreamBatchSampler],
              tables: Sequence[LaneTable]) -> str:
    """Sum up the epoch, a line for all processes and one for each."""
    streams, first = samplers[0].streams, samplers[0]
    lanes = first.sampler.world_size * first.batch_size
    lines = [
        f'{first.mode}: {len(streams.names)} videos, {len(streams.indices)} '
        f'clips, {lanes} lanes ({first.sampler.world_size} processes x '
        f'{first.batch_size}); videos of {streams.lengths.min()} to '
        f'{streams.lengths.max()} clips'
    ]
    for sampler, table in zip(samplers, tables):
        shown = int((table.videos >= 0).sum())
        going_on = shown - int(table.starts.sum())
        different = len(
            set(zip(table.videos.ravel().tolist(),
                    table.positions.ravel().tolist())) - {(-1, -1)})
        line = (f'rank {sampler.sampler.rank}: {len(sampler)} steps, {shown} '
                f'clips, {going_on} ({going_on / max(shown, 1):.1%}) '
                'continue a stream')
        if shown > different:
            line += (f', {shown - different} '
                     f'({(shown - different) / shown:.1%}) repeat a clip')
        lines.append(line)
    return '\n'.join(lines)


def main(args: Sequence[str] | None = None) -> None:
    """Print the table and the summary, and draw if asked to."""
    args = parse_args(args)
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmaction'))

    samplers = build_samplers(cfg, args)
    streams = samplers[0].streams
    videos, positions = streams.by_index()
    names = shorten_names(streams.names)
    max_gap = args.max_gap or (cfg.get('model') or {}).get('max_gap', 1)
    tables = [
        tabulate_lanes(list(sampler), videos, positions, sampler.batch_size,
                       max_gap) for sampler in samplers
    ]
    print(f'\n{args.split}, epoch {args.epoch}, steps '
          f'{args.first_step} to {args.first_step + args.steps - 1} '
          '(*: memory starts anew, -: lane has run out)')
    for sampler, table in zip(samplers, tables):
        titles = _make_titles(sampler)
        print()
        print(format_lanes(table, names, titles, args.first_step, args.steps))
    print()
    print(summarise(samplers, tables))
    if args.out:
        table, titles = _stack_tables(samplers, tables)
        draw_lanes(table, names, titles, args.out, args.first_step, args.steps)
        print(f'drawn to {args.out}')


def _make_titles(sampler: StreamBatchSampler) -> list[str]:
    """Name the lanes of one process."""
    return [f'rank {sampler.sampler.rank} lane {lane}'
            for lane in range(sampler.batch_size)]


def _stack_tables(samplers: Sequence[StreamBatchSampler],
                  tables: Sequence[LaneTable]) -> tuple[LaneTable, list[str]]:
    """Put the lanes of all processes under one another."""
    steps = max(table.videos.shape[1] for table in tables)
    stacked = LaneTable(*(np.concatenate([
        np.pad(array, [(0, 0), (0, steps - array.shape[1])],
               constant_values=blank) for array in arrays
    ]) for arrays, blank in zip(zip(*tables), (-1, -1, False))))
    titles = [title for s in samplers for title in _make_titles(s)]
    return stacked, titles


if __name__ == '__main__':
    main()
