# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Turns a CSV file of person boxes into proposals for the datasets.

The file is in the form that the boxes of PySlowFast's AVA models have, one
box a row: video,timestamp,x1,y1,x2,y2,label,score with an empty label, or
without that column, or without score. These names may stand in a first line.
Videos are named without suffix, timestamps count as those of the data set do
(keyframe_rate a second), and boxes are shares of width and height, or pixels
with --image-size. A box that comes in several rows, one for each label,
becomes one box.

The result is a pickled dict {'video,0902': array of shape (N, 5)}, for
``proposal_file`` of OnlineAVADataset and of MMAction2's AVADataset.
"""
import sys
from collections import Counter

import numpy as np
import pandas as pd

from mmaction_memvit.annotations.ava import AVARows
from mmaction_memvit.annotations.proposals import write_proposals
from mmaction_memvit.annotations.table import read_table
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.messages import data_error

BOX = ('x1', 'y1', 'x2', 'y2')


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('boxes', nargs='+', metavar='CSV', help='files of person boxes')
    add('out', help='the pickle file to write')
    add('--min-score', type=float, default=0.,
        help='leave out boxes below it (default: %(default)s; the dataset '
        'has a threshold of its own)')
    add('--image-size', type=float, nargs=2, metavar=('W', 'H'),
        help='width and height of all videos, if boxes are in pixels')
    add('--tolerance', type=float, default=0.01,
        help='boxes that leave the image by so much are clipped, others are '
        'an error')
    add('--skip-bad-rows', action='store_true',
        help='leave out rows that cannot be read, and count them')
    args = parser.parse_args(argv)
    if not 0 <= args.min_score <= 1:
        parser.error(f'--min-score {args.min_score} must be from 0 to 1')
    if args.tolerance < 0:
        parser.error(f'--tolerance {args.tolerance} must be at least 0')
    if args.image_size and min(args.image_size) <= 0:
        parser.error(f'--image-size {args.image_size} must be above 0')
    return args


def below_names(table):
    """The rows of a table, without the names of columns."""
    names = [c[0] for c in table.cells][:table.widths[0]] if len(table) else []
    if 'x1' not in names:
        return table
    table = table.with_header(names, '', exact=False)
    if names[:6] != ['video', 'timestamp', *BOX] or names[6:8][-1:] not in (
            [], ['score']):
        raise data_error(
            f'{table.path}:1', f'the columns are {",".join(names)}',
            'bring them into the order video,timestamp,x1,y1,x2,y2,score; '
            'timestamps are those of keyframes, keyframe_rate a second')
    return table


def read_boxes(args, path, counts):
    """The good rows of a file, and which were clipped; counts the others."""
    rows = AVARows(below_names(read_table(path)),
                   'skip' if args.skip_bad_rows else 'error',
                   option='--skip-bad-rows')
    table = rows.table
    rows.boxed[:] = True
    rows.check_widths((6, 7, 8), 'video,timestamp,x1,y1,x2,y2[,label][,score]')
    rows.check_times()
    if args.image_size is not None:
        rows.boxes = rows.boxes / np.tile(args.image_size, 2)
    rows.check_boxes(args.tolerance, '' if args.image_size else
                     'for pixels give --image-size')
    scores = np.where(table.widths == 8, table.numbers(7), np.where(
        table.widths == 7, table.numbers(6), 1.))
    known = (scores >= 0) & (scores <= 1 + 1e-6)
    rows.bad.flag(~known, 'score', lambda i: 'score '
                  f'{table[int(table.widths[i]) - 1][i]!r} is not from 0 to 1')
    keep = np.flatnonzero(rows.bad.good())
    boxes = np.clip(rows.boxes[keep], 0, 1)
    found = pd.DataFrame(dict(zip(BOX, boxes.T)))
    found.insert(0, 'video', rows.videos[keep])
    found.insert(1, 'timestamp', rows.times[keep].astype(np.int64))
    found['score'] = scores[keep]
    found['clipped'] = (boxes != rows.boxes[keep]).any(1)
    counts['rows'] += len(table)
    counts['bad rows, left out'] += len(table) - len(found)
    return found


def merge(args, frames, counts):
    """Boxes and scores by keyframe; counts what is left out."""
    table = pd.concat(frames, ignore_index=True)
    low = table['score'] < args.min_score
    flat = ~low & ((table['x1'] >= table['x2']) | (table['y1'] >= table['y2']))
    counts[f'boxes below --min-score {args.min_score:g}, left out'] = low.sum()
    counts['boxes without area, left out'] = flat.sum()
    table = table[~low & ~flat]
    counts['boxes clipped at the border of the image'] = table['clipped'].sum()
    boxes = table.groupby(
        ['video', 'timestamp', *BOX], sort=False)['score'].max().reset_index()
    counts['repeated boxes, such as one row a label, merged'] = len(
        table) - len(boxes)
    return {key: group[[*BOX, 'score']].to_numpy(np.float32)
            for key, group in boxes.groupby(['video', 'timestamp'])}


def report(tables, counts, path):
    """Prints what was found."""
    sizes = np.asarray([len(t) for t in tables.values()])
    scores = np.concatenate([t[:, 4] for t in tables.values()])
    videos = {video for video, _ in tables}
    print(f'{path}: {len(scores)} boxes on {len(tables)} keyframes of '
          f'{len(videos)} videos')
    print(f'  boxes of a keyframe: {sizes.min()} to {sizes.max()}, '
          f'{sizes.mean():.2f} on average')
    for threshold in (0.5, 0.8, 0.9):
        good = scores >= threshold
        some = sum((t[:, 4] >= threshold).any() for t in tables.values())
        print(f'  score of at least {threshold}: {good.sum()} boxes '
              f'({good.mean():.1%}) on {some} keyframes')
    for what, num in counts.items():
        if num and what != 'rows':
            print(f'  {what}: {num} of {counts["rows"]}')


@exit_code
def main(argv=None):
    """Converts the files; returns the exit code."""
    args = parse_args(argv)
    counts = Counter()
    frames = [read_boxes(args, path, counts) for path in args.boxes]
    tables = merge(args, frames, counts)
    if not tables:
        raise ValueError(f'no box is left of {counts["rows"]} rows: '
                         f'{dict(counts)}')
    write_proposals(args.out, tables)
    report(tables, counts, args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
