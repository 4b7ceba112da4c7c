#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Writes the features of a model's clips, a file a video.

    python tools/extract_features.py CONFIG epoch_10.pth --out-dir features
    torchrun --nproc_per_node 8 tools/extract_features.py CONFIG ... \
        --device cuda --launcher pytorch

The clips are those of the config's test data, or of one's own videos
(--videos). All processes of the job share them out, and the same command goes
on where a job was killed. Videos that cannot be read are told at the end,
which is then exit code 1. See docs/features.md.
"""
from __future__ import annotations

import argparse
import os.path as osp
import sys

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

from mmengine.config import Config
from mmengine.dist import all_gather_object, get_dist_info, is_distributed
from mmengine.runner import set_random_seed

from mmaction_memvit.apis.clip_loader import ClipLoader
from mmaction_memvit.apis.clip_plan import plan_of
from mmaction_memvit.apis.clip_sources import (
    DatasetClips,
    FileClips,
    listed_files,
    stream_dataset,
)
from mmaction_memvit.apis.feature_job import (
    FeatureExtractor,
    FeatureJob,
)
from mmaction_memvit.apis.model import load_model
from mmaction_memvit.apis.processes import (
    Bar,
    add_job_options,
    agree,
    join_processes,
    leave_processes,
)
from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.files import remove_parts, write_failed
from mmaction_memvit.video.find import load_video_index, name_videos
from mmaction_memvit.video.index import earlier_index, update_index


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, config='config')
    add = parser.add_argument
    add('checkpoint', nargs='?', help='weights (default: those that '
        'init_cfg of the config names)')
    add('--stage', choices=['backbone', 'neck'], default='backbone',
        help='whose output')
    add('--per-frame', action='store_true', help='a vector for each temporal '
        'place of a clip, not one for the clip')
    add('--videos', nargs='+', metavar='SOURCE', help='folders, video files '
        'and lists (.txt) in place of the test data')
    add('--clip-len', type=int, help='frames of a clip, where it is not that '
        'of the test data; so are the next three')
    add('--frame-interval', type=int, help='frames from one to the next')
    add('--clip-stride', type=int, help='frames from clip to clip')
    add('--sample-fps', type=float, help='frames per second that these count '
        'at')
    add('--batch-size', type=int, default=16, help='clips, of a model with '
        'memory videos, of a batch')
    add_job_options(parser)
    return parser.parse_args()


def find_clips(config: Config, args: argparse.Namespace
               ) -> tuple[DatasetClips | FileClips, dict[str, str]]:
    """The clips; and videos that cannot be read, with the reason."""
    cfg = config.test_dataloader.dataset
    grid = {k: getattr(args, k)
            for k in ('clip_len', 'frame_interval', 'clip_stride')
            if getattr(args, k) is not None}
    dataset = None
    if args.videos is None and args.sample_fps is None:
        dataset = stream_dataset({**cfg, **grid})
    if dataset is not None:
        return DatasetClips(dataset), {}
    path = osp.join(args.out_dir, 'index.json')

    def index_files() -> dict[str, str]:
        files = (listed_files(cfg) if args.videos is None else
                 name_videos(args.videos))
        index = earlier_index(path)
        update_index(index, files, path, max(args.workers, 1))
        return files

    files = agree(index_files)
    index = load_video_index(path)
    failed = {name: index[name].get('problem', 'no frames') for name in files
              if not index[name]['num_frames']}
    loader = ClipLoader(cfg, plan_of(cfg, args.sample_fps, **grid))
    if loader.takes_boxes:
        raise ValueError('clips around keyframes need person boxes, and have '
                         'no place without them. Remedy: a config with '
                         'OnlineVideoDataset')
    return FileClips(loader, files, index), failed


def run(job: FeatureJob, pipeline: object) -> dict[str, str]:
    """Do the share of this process; gives what failed anywhere."""
    rank, num = get_dist_info()
    share = agree(lambda: job.prepare(pipeline, num))[rank]
    failed: dict[str, str] = {}
    told = 'all is done'
    with Bar(job.num_clips(share), 'clips', rank, num) as bar:
        for now in job.run(share):
            for name in now.failed.keys() - failed.keys():
                failed[name] = now.failed[name]
                bar.say(f'{name}: {failed[name]}')
            told = f'{now.videos} videos'
            bar.update(now.clips, told)
    print(f'{bar.me}{told}', flush=True)
    # A launcher ends all processes when one of them fails: it waits for them.
    if is_distributed():
        failed = {k: x for part in all_gather_object(failed)
                  for k, x in part.items()}
    return failed


@tells_errors
def main() -> None:
    args = parse_args()
    device = join_processes(args.launcher, args.device)
    config = read_config(args)
    # Weights that no file has are the same in all processes.
    set_random_seed(0)
    config, model = load_model(config, args.checkpoint, device)
    extractor = FeatureExtractor(model, args.stage, args.per_frame)
    clips, failed = find_clips(config, args)
    job = FeatureJob(extractor, clips, args.out_dir, args.batch_size,
                     args.workers)
    failed.update(run(job, list(config.test_dataloader.dataset.pipeline)))
    if get_dist_info()[0] == 0:
        finish(args.out_dir, failed)
    leave_processes()
    sys.exit(1 if failed else 0)


def finish(out_dir: str, failed: dict[str, str]) -> None:
    """Write failed.csv, and tell of it."""
    remove_parts(out_dir)
    path = osp.join(out_dir, 'failed.csv')
    write_failed(path, failed)
    if failed:
        print(f'{len(failed)} videos failed, see {path}: '
              'the same command tries them again', flush=True)


if __name__ == '__main__':
    main()
