# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Options that the tools which make generated sets have in common."""
import argparse
import os
from typing import Any

from .longcue import LongCueSpec


def add_set_options(parser: argparse.ArgumentParser, seed: int) -> None:
    """Add the options of every set: --seed, --num-workers and --force."""
    parser.add_argument('--seed', type=int, default=seed, help='random seed')
    parser.add_argument('--num-workers', type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes; 0 or 1 works in this one')
    parser.add_argument('--force', action='store_true',
        help='replace a set that was made with other options')


def add_longcue_options(parser: argparse.ArgumentParser, default: LongCueSpec,
                        train_videos: int, val_videos: int) -> None:
    """Add the options of LongCue, with or without boxes."""
    for name, number in (('train', train_videos), ('val', val_videos)):
        parser.add_argument(f'--{name}-videos', type=int, default=number,
            help=f'{name} videos, a multiple of --num-cues')
    for name, text in (
        ('clips_per_video', 'clips in a video, at least max_delay * '
         '(max_delay + 3) / 2'),
        ('num_cues', 'number of classes, 2 to 8'),
        ('max_delay', 'longest distance from cue to question in clips'),
        ('clip_len', 'frames a model samples from a clip'),
        ('frame_interval', 'video frames from one sampled frame to the next'),
        ('size', 'height and width in pixels, a multiple of 32')):
        parser.add_argument(f'--{name.replace("_", "-")}', type=int,
            default=getattr(default, name), help=text)
    parser.add_argument('--fps', type=float, default=None,
        help='frames per second; when left out, a clip lasts one second')
    parser.add_argument('--label-cues', choices=('none', 'train', 'all'),
        default='train',
        help='lists in which what shows a cue is labelled, too: without '
        'these a small model takes long to find out what to remember')
    parser.add_argument('--interfere', action='store_true',
        help='earlier cues may lie within max-delay clips of a question: '
        'the latest counts')
    add_set_options(parser, default.seed)


def longcue_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of a spec, from what the command line says."""
    names = ('num_cues', 'max_delay', 'clips_per_video', 'clip_len',
             'frame_interval', 'size', 'fps', 'seed')
    return dict({name: getattr(args, name) for name in names},
                separate=not args.interfere)
