# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Checks a download of Charades against its annotations.

Says which videos or frame folders are missing, which cannot be decoded, and
which are not as long as the lists say; with --index it writes the frame
counts that CharadesDataset takes as index_file. What an earlier index says of
files that are still as large is kept, so that an interrupted run goes on.
Ends with exit code 1 if something is wrong.
"""
import os.path as osp
import sys

import numpy as np

from mmaction_memvit.annotations.charades import (
    CLASS_FILE,
    NUM_CLASSES,
    read_charades,
)
from mmaction_memvit.command_line import exit_code, make_parser

# The tools beside this one and above, however it was started.
sys.path[:0] = [osp.dirname(osp.dirname(osp.abspath(__file__)))]
import checking  # noqa: E402


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('lists', nargs='+', metavar='LIST',
        help='Charades_v1_train.csv, Charades_v1_test.csv')
    checking.add_source(parser)
    add('--index', help='JSON file for the frame counts')
    add('--fps', type=float, default=24., help='rate of frames in folders')
    add('--tolerance', type=float, default=2.,
        help='seconds by which a video may be longer or shorter than listed')
    return parser.parse_args(argv)


def describe(path, rows):
    """Prints how many videos of a list have which classes."""
    counts = np.zeros(NUM_CLASSES, int)
    for row in rows:
        counts[np.unique(row.classes)] += 1
    empty = sum(not len(row.classes) for row in rows)
    print(f'{osp.basename(path)}: {len(rows)} videos, {empty} without '
          f'actions; {(counts > 0).sum()} of {NUM_CLASSES} classes occur')
    names = osp.join(osp.dirname(path), CLASS_FILE)
    if not osp.exists(names):
        print(f'{names} is missing, from which the configs take the names of '
              'classes. Remedy: unpack it of Charades.zip, or set '
              'class_names=None of MultiLabelMAPMetric')


@exit_code
def main(argv=None):
    """Checks a download; returns the exit code."""
    args = parse_args(argv)
    videos = {}
    for path in args.lists:
        rows = read_charades(path)
        describe(path, rows)
        videos.update((row.video_id, row) for row in rows)

    def compare(name, entry):
        seconds = entry['num_frames'] / (entry['fps'] or args.fps)
        length = videos[name].length
        return f'{seconds:.2f} s, listed {length:g} s' * (
            abs(seconds - length) > args.tolerance)

    _, wrong = checking.check(
        args, args.index, {name: [name] for name in videos}, compare)
    return checking.summary(wrong, len(videos))


if __name__ == '__main__':
    sys.exit(main())
