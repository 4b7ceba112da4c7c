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

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import pandas as pd
from mmengine.dist import get_dist_info

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.apis.folder_job import FolderJob
from mmaction_memvit.apis.persons import add_box_options, boxes_by_video
from mmaction_memvit.apis.processes import (
    Bar,
    add_job_options,
    agree,
    join_processes,
    leave_processes,
)
from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.video.find import name_videos


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, config='--config')
    add = parser.add_argument
    add('sources', nargs='+', help='folders, with all that is in them, video '
        'files, and lists (.txt) of one path a line, from the folder of the '
        'list; labels behind it are left out')
    add('--checkpoint', required=True, help='weights')
    add('--batch-size', type=int, default=8, help='videos of a batch')
    add('--save-every', type=float, default=30., metavar='SECONDS',
        help='what a kill costs at most')
    add_job_options(parser)
    add_box_options(parser)
    add('--sample-fps', type=float,
        help='frames per second that the config counts clips at (default: '
        'as the config says; else frames are taken as they come)')
    return parser.parse_args()


def run(job: FolderJob, videos: dict[str, str]) -> None:
    """Run the share of this process, under a bar of progress."""
    rank, num = get_dist_info()
    plan = agree(lambda: job.prepare(videos, num))
    # They need each other no more.
    leave_processes()
    told = 'all is done'
    with Bar(plan.seconds_left(rank), 's', rank, num) as bar:
        for now in job.run(plan, rank):
            told = tell(now)
            bar.update(now.seconds, told)
    print(f'{bar.me}{told}', flush=True)
    for path in job.merge() or ():
        print(path)
        if path.endswith('failed.csv') and (num := len(pd.read_csv(path))):
            print(f'WARNING: {num} of {len(plan.videos)} files could not be '
                  'read, or not as a whole: it says why')
            if num == len(plan.videos):
                raise ValueError('no file could be read. Remedy: paths in a '
                                 'list count from its folder, one a line')


def tell(now) -> str:
    """Speed, and what limits it."""
    total = now.waiting + now.running
    share = now.waiting / total
    limit = 'the model' if share < 0.5 else 'disk or decoding (--workers)'
    return (f'{now.clips} clips, {now.seconds / total:.2f} x real time, '
            f'{share:.0%} of the time waiting for frames: {limit} limits')


@tells_errors
def main() -> None:
    args = parse_args()
    args.device = join_processes(args.launcher, args.device)
    config, videos = read_config(args), name_videos(args.sources)
    inferencer = OnlineInferencer(config, args.checkpoint, args.device,
                                  args.sample_fps)
    job = FolderJob(inferencer, args.out_dir, args.batch_size,
                    args.workers, args.save_every,
                    boxes_by_video(args, inferencer))
    run(job, videos)


if __name__ == '__main__':
    main()
