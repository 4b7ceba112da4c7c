# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Show which clip every lane of a config's batches shows at every step.

Nothing is decoded and no model is built: the data set is read and the epoch
planned, for every process.
"""
from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.datasets.samplers import StreamBatchSampler
from mmaction_memvit.messages import text_table


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, config='config')
    add = parser.add_argument
    add('--split', choices=['train', 'val', 'test'], default='train',
        help='which data loader of the config to look at')
    add('--batch-size', type=int,
        help="lanes of one process; else the data loader's batch_size")
    add('--world-size', type=int, default=1, help='number of processes')
    add('--epoch', type=int, default=0, help='number of the epoch, from 0')
    add('--seed', type=int,
        help="seed of the run; else the config's randomness, else 0")
    add('--steps', type=int, default=12, help='number of steps to show')
    add('--first-step', type=int, default=0, help='first step to show')
    return parser.parse_args(args)


def build_samplers(cfg: Config,
                   args: argparse.Namespace) -> list[StreamBatchSampler]:
    """Build the batch sampler of each process, as the runner would."""
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
    own = options.pop('batch_size', None)
    seed = args.seed
    if seed is None:
        seed = (cfg.get('randomness') or {}).get('seed') or 0
    dataset = DATASETS.build(loader.dataset)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    # In place of DefaultSampler, which asks the process group.
    sampler = dict(dataset=dataset, seed=seed, epoch=args.epoch,
                   shuffle=(loader.get('sampler') or {}).get('shuffle', True),
                   world_size=args.world_size)
    return [
        StreamBatchSampler(SimpleNamespace(rank=rank, **sampler),
                           args.batch_size or own or loader.get('batch_size'),
                           **options) for rank in range(args.world_size)]


def describe(sampler: StreamBatchSampler, max_gap: int,
             shown: range) -> tuple[str, str]:
    """The lanes of one process as a table, and the epoch in a line."""
    streams, rank = sampler.streams, sampler.sampler.rank
    names = [Path(x).stem[-12:] for x in streams.names]
    same = Counter(names)
    names = [x if same[x] == 1 else str(path)
             for x, path in zip(names, streams.names)]
    videos, positions = (x.tolist() for x in streams.by_index())
    rows = [[f'rank {rank} lane {lane}'] for lane in range(sampler.batch_size)]
    # Of each video the last clip that was shown, as the memory bank has it.
    last, every, num_clips, num_continued = {}, set(), 0, 0
    for step, batch in enumerate(sampler):
        clips = [(videos[i], positions[i]) for i in batch]
        for row, (video, position) in zip(rows, clips):
            continues = video in last and 0 < position - last[video] <= max_gap
            num_continued += continues
            if step in shown:
                row.append((' ' if continues else '*') + (
                    '' if continues and step > shown.start else names[video])
                    + f':{position}')
        for row in rows[len(clips):] if step in shown else ():
            row.append(' -')
        # After the batch, as a model reads all memories before it writes one.
        last.update(clips)
        every.update(clips)
        num_clips += len(clips)
    head = ['', *(x for x in shown if x < len(sampler))]
    line = (f'rank {rank}: {len(sampler)} steps, {num_clips} clips, '
            f'{num_continued} ({num_continued / max(num_clips, 1):.1%}) '
            'continue a stream')
    if num_clips > len(every):
        num = num_clips - len(every)
        line += f', {num} ({num / num_clips:.1%}) repeat a clip'
    return text_table([head, *rows], left=range(len(head))), line


@tells_errors
def main(args: Sequence[str] | None = None) -> None:
    """Print the tables and the summary."""
    args = parse_args(args)
    cfg = read_config(args)
    samplers = build_samplers(cfg, args)
    shown = range(args.first_step, args.first_step + args.steps)
    tables, lines = zip(*(
        describe(x, (cfg.get('model') or {}).get('max_gap', 1), shown)
        for x in samplers))
    print(f'\n{args.split}, epoch {args.epoch}, steps {shown.start} to '
          f'{shown.stop - 1} (*: memory starts anew, -: lane has run out)')
    print('', *tables, sep='\n\n')
    streams, first = samplers[0].streams, samplers[0]
    print(f'\n{first.mode}: {len(streams.names)} videos, '
          f'{len(streams.indices)} clips, '
          f'{args.world_size * first.batch_size} lanes ({args.world_size} '
          f'processes x {first.batch_size}); videos of '
          f'{streams.lengths.min()} to {streams.lengths.max()} clips')
    print(*lines, sep='\n')


if __name__ == '__main__':
    main()
