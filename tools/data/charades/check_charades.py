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
from mmaction_memvit.command_line import make_parser

# The tools beside this one and above, however it was started.
sys.path[:0] = [osp.dirname(osp.dirname(osp.abspath(__file__)))]
import checking  # noqa: E402


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('lists', nargs='+', metavar='LIST',
        help='Charades_v1_train.csv, Charades_v1_test.csv')
    checking.add_source(parser)
    add('--index', help='with --videos: JSON file for the frame counts')
    add('--fps', type=float, default=24., help='rate of frames in folders')
    add('--tolerance', type=float, default=2.,
        help='seconds by which a video may be longer or shorter than listed')
    args = parser.parse_args(argv)
    checking.check_source(parser, args, args.index)
    return args


def find(args, ids):
    """Names of files or folders, by video."""
    if args.videos:
        return checking.find_each(ids, args.videos)
    return {v: v for v in ids if osp.isdir(osp.join(args.frames, v))}


def report(args, videos, entries):
    """Prints what was found; returns how many videos are not in order."""
    groups = {
        'missing': {v: '' for v in videos if v not in entries},
        'not decodable': {},
        'damaged': {},
        'not as long as listed': {}}
    for video, entry in entries.items():
        length = videos[video].length
        if not entry['num_frames']:
            groups['not decodable'][video] = entry['problem']
            continue
        if 'problem' in entry:
            groups['damaged'][video] = entry['problem']
        seconds = entry['num_frames'] / (entry['fps'] or args.fps)
        if abs(seconds - length) > args.tolerance:
            groups['not as long as listed'][video] = (
                f'{seconds:.2f} s, listed {length:g} s')
    frames = sum(e['num_frames'] for e in entries.values())
    print(f'{len(entries)} of {len(videos)} are there, {frames} frames')
    checking.print_groups(groups)
    return len({v for group in groups.values() for v in group})


def describe(path, rows):
    """Prints how many videos of a list have which classes."""
    counts = np.zeros(NUM_CLASSES, int)
    for row in rows:
        counts[np.unique(row.classes)] += 1
    empty = sum(not len(row.classes) for row in rows)
    print(f'{osp.basename(path)}: {len(rows)} videos, {empty} without actions')
    found = np.flatnonzero(counts)
    print(f'  {len(found)} of {NUM_CLASSES} classes occur')
    for word, pick in (('rarest', np.argmin), ('most frequent', np.argmax)):
        if len(found):
            label = found[pick(counts[found])]
            print(f'  {word}: c{label:03}, in {counts[label]} videos')


def check_class_file(lists):
    """Says if the names of classes are not beside the lists."""
    for folder in sorted({osp.dirname(path) for path in lists}):
        path = osp.join(folder, CLASS_FILE)
        if not osp.exists(path):
            print(f'{path} is missing, from which the configs take the names '
                  'of classes. Remedy: unpack it of Charades.zip, or set '
                  'class_names=None of MultiLabelMAPMetric')


def main(argv=None):
    """Checks a download; returns the exit code."""
    args = parse_args(argv)
    videos = {}
    try:
        for path in args.lists:
            rows = read_charades(path)
            describe(path, rows)
            videos.update((row.video_id, row) for row in rows)
        check_class_file(args.lists)
        entries = checking.probe_all(args, find(args, videos))
    except (OSError, ValueError, RuntimeError) as e:
        return checking.failed(e)
    return checking.summary(report(args, videos, entries), len(videos))


if __name__ == '__main__':
    sys.exit(main())
