# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Turns a CSV file of person boxes into proposals for the datasets.

The file is in the form that the boxes of PySlowFast's AVA models have, one
box a row: video,timestamp,x1,y1,x2,y2,label,score with an empty label, or
without that column, or without score. A box that comes in several rows, one
for each label, becomes one box.

The result is a pickled dict {'video,0902': array of shape (N, 5)}, for
``proposal_file`` of OnlineAVADataset and of MMAction2's AVADataset.
"""
import argparse
import os
import os.path as osp
import pickle
import sys
from collections import Counter, defaultdict

import numpy as np
from mmengine.utils import ProgressBar

from mmaction_memvit.datasets.ava_annotations import image_key

# Rows between two updates of the progress bar.
_STEP = 20000
_MOST_TOLD = 5


def parse_args(argv=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'boxes', nargs='+', metavar='CSV', help='files of person boxes')
    parser.add_argument('out', help='the pickle file to write')
    parser.add_argument(
        '--min-score',
        type=float,
        default=0.,
        help='leave out boxes below it (default: %(default)s; the dataset '
        'has a threshold of its own)')
    parser.add_argument(
        '--image-size',
        type=float,
        nargs=2,
        metavar=('W', 'H'),
        help='width and height of all videos, if boxes are in pixels')
    parser.add_argument(
        '--tolerance',
        type=float,
        default=0.01,
        help='boxes that leave the image by so much are clipped, others are '
        'an error (default: %(default)s)')
    parser.add_argument(
        '--skip-bad-rows',
        action='store_true',
        help='leave out rows that cannot be read, and count them')
    args = parser.parse_args(argv)
    if not 0 <= args.min_score <= 1:
        parser.error(f'--min-score {args.min_score} must be from 0 to 1')
    if args.tolerance < 0:
        parser.error(f'--tolerance {args.tolerance} must be at least 0')
    if args.image_size and min(args.image_size) <= 0:
        parser.error(f'--image-size {args.image_size} must be above 0')
    return args


def read_row(line, args):
    """Video, timestamp, box and score of a row, and whether it was clipped.

    Raises:
        ValueError: If the row cannot be read.
    """
    fields = [x.strip() for x in line.split(',')]
    if len(fields) not in (6, 7, 8):
        raise ValueError(
            f'has {len(fields)} columns, but must have 6 to 8: '
            'video,timestamp,x1,y1,x2,y2[,label][,score]')
    if not fields[0]:
        raise ValueError('has no name of a video')
    time = float(fields[1])
    if time != int(time) or time < 0:
        raise ValueError(f'timestamp {fields[1]} is no whole number of at '
                         'least 0')
    box = [float(x) for x in fields[2:6]]
    if args.image_size:
        width, height = args.image_size
        box = [x / s for x, s in zip(box, (width, height) * 2)]
    if not all(-args.tolerance <= x <= 1 + args.tolerance for x in box):
        raise ValueError(
            f'box {",".join(fields[2:6])} leaves the image: x1,y1,x2,y2 must '
            'be shares of its width and height, from 0 to 1' +
            ('' if args.image_size else '; for pixels give --image-size'))
    clipped = [min(max(x, 0.), 1.) for x in box]
    score = float(fields[-1]) if len(fields) > 6 else 1.
    if not 0 <= score <= 1 + 1e-6:
        raise ValueError(f'score {fields[-1]} is not from 0 to 1')
    return fields[0], int(time), clipped, score, clipped != box


def read_file(path, args, found, counts):
    """Adds the boxes of a file to ``found``; counts what happens."""
    # utf-8-sig: Excel's CSV begins with a mark that is no part of a name.
    with open(path, newline='', encoding='utf-8-sig') as f:
        lines = f.read().splitlines()
    bar = ProgressBar(max(len(lines), 1))
    problems = []
    for number, line in enumerate(lines, 1):
        if number % _STEP == 0:
            bar.update(_STEP)
        if not line.strip():
            continue
        counts['rows'] += 1
        try:
            video, time, box, score, clipped = read_row(line, args)
        except ValueError as e:
            counts['bad rows, left out'] += 1
            problems.append(f'{path}, line {number}: {e}')
            continue
        if score < args.min_score:
            counts[f'boxes below --min-score {args.min_score:g}, left out'] \
                += 1
        elif box[0] >= box[2] or box[1] >= box[3]:
            counts['boxes without area, left out'] += 1
        else:
            counts['boxes clipped at the border of the image'] += clipped
            boxes = found[video, time]
            known = boxes.get(tuple(box))
            if known is not None:
                counts['repeated boxes, such as one row a label, merged'] += 1
                score = max(score, known)
            boxes[tuple(box)] = score
    bar.update(len(lines) - len(lines) // _STEP * _STEP)
    bar.file.write('\n')
    if problems:
        told = '\n  '.join(problems[:_MOST_TOLD])
        rest = len(problems) - _MOST_TOLD
        more = f'\n  and {rest} more' if rest > 0 else ''
        print(f'  {told}{more}', file=sys.stderr)
        if not args.skip_bad_rows:
            raise ValueError(
                f'{path}: {len(problems)} of {counts["rows"]} rows cannot be '
                'read. Remedy: correct the file, or leave such rows out by '
                '--skip-bad-rows')


def write(found, path):
    """Writes the proposals so that an interruption leaves no half a file."""
    tables = {
        image_key(*key): np.asarray([(*b, s) for b, s in boxes.items()],
                                    dtype=np.float32)
        for key, boxes in sorted(found.items())
    }
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    part = f'{path}.{os.getpid()}.part'
    with open(part, 'wb') as f:
        pickle.dump(tables, f)
    os.replace(part, path)
    return tables


def report(tables, counts, path):
    """Prints what was found."""
    sizes = np.asarray([len(t) for t in tables.values()])
    scores = np.concatenate([t[:, 4] for t in tables.values()])
    videos = {k.rpartition(',')[0] for k in tables}
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


def main(argv=None):
    """Converts the files; returns the exit code."""
    args = parse_args(argv)
    found, counts = defaultdict(dict), Counter()
    try:
        for path in args.boxes:
            print(path)
            read_file(path, args, found, counts)
        if not found:
            raise ValueError(f'no box is left of {counts["rows"]} rows: '
                             f'{dict(counts)}')
        tables = write(found, args.out)
    except (OSError, ValueError) as e:
        print(f'error: {e}', file=sys.stderr)
        return 2
    report(tables, counts, args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
