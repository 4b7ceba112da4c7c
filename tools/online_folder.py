#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Run a trained model along many videos, and go on after a kill.

    python tools/online_folder.py videos --config CONFIG \
        --checkpoint epoch_10.pth --out-dir out
    torchrun --nproc_per_node 8 tools/online_folder.py videos ... \
        --device cuda --launcher pytorch

Several videos pass the model as one batch, by all processes of the job. The
same command goes on where a job was killed. See docs/live_video.md.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import os.path as osp
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import pandas as pd
import torch
from mmengine.config import Config, DictAction
from mmengine.dist import (
    broadcast_object_list,
    get_dist_info,
    init_dist,
    is_distributed,
)
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.apis.folder_job import FolderJob
from mmaction_memvit.apis.persons import add_box_options, boxes_by_video
from mmaction_memvit.video.index import list_videos

# Seconds between lines of a log.
_SAY_EVERY = 60.


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('sources', nargs='+', help='folders, with all that is in them, video '
        'files, and lists (.txt) of one path a line, from the folder of the '
        'list')
    add('--config', required=True, help='config the model was trained with')
    add('--checkpoint', required=True, help='weights')
    add('--out-dir', required=True, help='where files go; all processes must '
        'see it')
    add('--batch-size', type=int, default=8,
        help='videos of a batch (default: %(default)s)')
    add('--workers', type=int, default=4,
        help='processes that decode, for each of the job (default: '
        '%(default)s)')
    add('--save-every', type=float, default=30., metavar='SECONDS',
        help='what a kill costs at most (default: %(default)s)')
    add_box_options(parser)
    add('--sample-fps', type=float,
        help='frames per second that the config counts clips at (default: '
        'as the config says; else frames are taken as they come)')
    add('--device', default='cpu', help='(default: %(default)s); with a '
        'launcher, cuda is the GPU of each process')
    add('--cfg-options', nargs='+', action=DictAction,
        help='override settings of the config, as key=value pairs')
    add('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none', help='what has started the processes of the job')
    return parser.parse_args()


def find(sources: list[str]) -> dict[str, str]:
    """Paths of videos by names, under which their results are found."""
    videos: dict[str, str] = {}

    def add(name: str, path: str) -> None:
        if osp.abspath(videos.setdefault(name, path)) != osp.abspath(path):
            raise ValueError(f'{videos[name]} and {path} have the same name: '
                             'hand in the folder above both')

    for source in sources:
        if osp.isdir(source):
            for name in list_videos(source):
                add(name, osp.join(source, name))
        elif not osp.isfile(source):
            raise FileNotFoundError(f'{source}: no such folder or file')
        elif source.endswith('.txt'):
            for line in Path(source).read_text(encoding='utf-8').splitlines():
                if line.strip():
                    name = osp.normpath(line.strip()).replace(os.sep, '/')
                    add(re.sub(r'^[./]+', '', name),
                        osp.join(osp.dirname(source), line.strip()))
        else:
            add(osp.basename(source), source)
    if not videos:
        raise ValueError(f'no video files in {", ".join(sources)}')
    return videos


def agree(job: FolderJob, videos: dict[str, str]):
    """One plan of all processes, which then need each other no more."""
    rank, num = get_dist_info()
    plan = [None]
    try:
        if rank == 0:
            plan = [job.prepare(videos, num)]
    except (OSError, ValueError) as e:
        plan = [e]
    if is_distributed():
        broadcast_object_list(plan)
        torch.distributed.destroy_process_group()
    if isinstance(plan[0], Exception):
        raise plan[0]
    return plan[0], rank


def run(job: FolderJob, videos: dict[str, str]) -> None:
    """Run the share of this process, under a bar of progress."""
    plan, rank = agree(job, videos)
    columns = (TextColumn('{task.completed:.0f} s'), BarColumn(),
               TextColumn('{task.fields[told]}'), TimeElapsedColumn(),
               TimeRemainingColumn())
    me = f'process {rank + 1} of {len(plan.shares)}: ' if len(
        plan.shares) > 1 else ''
    total, told, said = plan.seconds_left(rank), 'all is done', 0.
    # A log takes a line now and then.
    is_log = not sys.stdout.isatty()
    with Progress(*columns, disable=is_log or rank > 0) as progress:
        bar = progress.add_task('', total=total, told='')
        for now in job.run(plan, rank):
            told = tell(now)
            progress.update(bar, completed=now.seconds, told=told)
            if is_log and time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                left = (total / max(now.seconds, 1e-6) - 1) * (
                    now.waiting + now.running)
                print(f'{me}{now.seconds:.0f} of {total:.0f} s, {told}, '
                      f'{left / 60:.1f} min left', flush=True)
    print(f'{me}{told}', flush=True)
    for path in job.merge() or ():
        print(path)
        if path.endswith('failed.csv') and (num := len(pd.read_csv(path))):
            print(f'WARNING: {num} of {len(plan.videos)} files could not be '
                  'read, or not as a whole: it says why')


def tell(now) -> str:
    """Speed, and what limits it."""
    total = now.waiting + now.running
    share = now.waiting / total
    limit = 'the model' if share < 0.5 else 'disk or decoding (--workers)'
    return (f'{now.clips} clips, {now.seconds / total:.2f} x real time, '
            f'{share:.0%} of the time waiting for frames: {limit} limits')


def main() -> None:
    """Run."""
    args = parse_args()
    if args.launcher != 'none':
        # MMEngine would set 'spawn', with which workers import all anew.
        if 'fork' in multiprocessing.get_all_start_methods():
            multiprocessing.set_start_method('fork')
        # The others wait while one looks at all files.
        init_dist(args.launcher, backend='gloo',
                  timeout=timedelta(days=7).total_seconds())
        if args.device == 'cuda':
            args.device = f'cuda:{torch.cuda.current_device()}'
    try:
        config = Config.fromfile(args.config)
        config.merge_from_dict(args.cfg_options or {})
        inferencer = OnlineInferencer(config, args.checkpoint, args.device,
                                      args.sample_fps)
        job = FolderJob(inferencer, args.out_dir, args.batch_size,
                        args.workers, args.save_every,
                        boxes_by_video(args, inferencer.plan.grid))
        run(job, find(args.sources))
    except (OSError, ValueError) as e:
        raise SystemExit(f'ERROR: {e}') from e


if __name__ == '__main__':
    main()
