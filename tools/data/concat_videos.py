# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Makes long videos with known segments by joining short labelled clips.

Reads a table ``path,label,class,source_group`` of short clips, such as those
of JHMDB, and writes, under --out:

- videos/train_000.mp4 ...: the long videos;
- train.txt, val.txt: lists for OnlineVideoDataset with
  ``ann_format='segments'``, one line ``path start end label`` a clip;
- classes.txt: the names of the classes, line by line;
- index.json: the frame counts (``index_file``).

All clips of a source group stand on one side of the split. Within a side a
clip comes again only when all others have been used. The same seed gives the
same videos.
"""
import argparse
import csv
import os
import os.path as osp
import random
import sys
from collections import defaultdict
from functools import partial

import av
import numpy as np
from mmengine.utils import track_parallel_progress, track_progress

from mmaction_memvit.datasets.video_index import (
    probe_video,
    write_video_index,
)


def parse_args(argv=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('table', help='CSV file of the clips')
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument(
        '--data-root', help='folder that the paths in the table start from '
        '(default: where the table is)')
    parser.add_argument('--num-train', type=int, default=12)
    parser.add_argument('--num-val', type=int, default=6)
    parser.add_argument(
        '--clips-per-video',
        type=int,
        nargs=2,
        default=(8, 16),
        metavar=('MIN', 'MAX'))
    parser.add_argument(
        '--val-share',
        type=float,
        default=0.3,
        help="share of every class's clips that validation is made of, about "
        '(default: %(default)s)')
    parser.add_argument(
        '--num-classes', type=int, help='only labels below this one')
    parser.add_argument(
        '--short-side', type=int, default=128, help='in pixels')
    parser.add_argument('--fps', type=int, default=30)
    parser.add_argument(
        '--repeat',
        type=int,
        default=1,
        help='play every clip so many times, to and fro')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--num-workers', type=int, default=1, help='processes')
    args = parser.parse_args(argv)
    low, high = args.clips_per_video
    for name, value in (('--num-train', args.num_train),
                        ('--num-val', args.num_val), ('--repeat', args.repeat),
                        ('--fps', args.fps), ('--num-workers',
                                              args.num_workers),
                        ('--clips-per-video', low)):
        if value < 1:
            parser.error(f'{name} {value} must be at least 1')
    if high < low:
        parser.error(f'--clips-per-video {low} {high}: MAX is below MIN')
    if args.short_side < 16 or args.short_side % 2:
        parser.error(f'--short-side {args.short_side} must be even and at '
                     'least 16')
    if not 0 < args.val_share < 1:
        parser.error(f'--val-share {args.val_share} must be between 0 and 1')
    if args.data_root is None:
        args.data_root = osp.dirname(osp.abspath(args.table))
    return args


def read_table(args):
    """The rows of the table, labels as int."""
    if not osp.exists(args.table):
        sys.exit(f'{args.table} does not exist')
    with open(args.table, newline='') as f:
        rows = list(csv.DictReader(f))
    needed = ('path', 'label', 'class', 'source_group')
    if not rows or any(k not in rows[0] for k in needed):
        sys.exit(f'{args.table} must have rows and the columns '
                 f'{",".join(needed)}')
    rows = [{**r, 'label': int(r['label'])} for r in rows]
    if args.num_classes is not None:
        rows = [r for r in rows if r['label'] < args.num_classes]
    return rows


def split_groups(rows, val_share, rng):
    """Divides the clips; no source group is on both sides."""
    groups, totals = defaultdict(list), defaultdict(int)
    for row in rows:
        groups[row['source_group']].append(row)
        totals[row['label']] += 1
    taken = defaultdict(int)
    train, val = [], []
    names = sorted(groups)
    rng.shuffle(names)
    for name in names:
        count = defaultdict(int)
        for row in groups[name]:
            count[row['label']] += 1
        # Into validation as long as no class gets more than its share there;
        # a class with nothing yet may go over it, but keeps half for training.
        fits = all(
            taken[k] + n <= totals[k] * (0.5 if not taken[k] else val_share)
            for k, n in count.items())
        if fits:
            val += groups[name]
            for k, n in count.items():
                taken[k] += n
        else:
            train += groups[name]
    return train, val


def deal(rows, num_videos, clips_per_video, rng):
    """Draws the clips of the videos, each anew only when all were used."""
    videos, pool = [], []
    for _ in range(num_videos):
        video = []
        for _ in range(rng.randint(*clips_per_video)):
            if not pool:
                pool = list(rows)
                rng.shuffle(pool)
            video.append(pool.pop())
        videos.append(video)
    return videos


def read_clip(path, size, repeat):
    """All frames of a clip at a size; forwards, backwards, forwards, ..."""
    with av.open(path) as container:
        frames = [
            frame.reformat(*size, format='yuv420p').to_ndarray()
            for frame in container.decode(video=0)
        ]
    played = []
    for turn in range(repeat):
        played += frames[::-1] if turn % 2 else frames
    return played


def output_size(path, short_side):
    """Width and height of the output, both even."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
    scale = short_side / min(width, height)
    return tuple(int(round(x * scale / 2)) * 2 for x in (width, height))


def make_video(task, data_root, size, fps, repeat):
    """Writes one long video; returns its segments (start, end, label)."""
    path, clips = task
    segments, num = [], 0
    with av.open(path, 'w') as out:
        stream = out.add_stream('libx264', rate=fps, options={'crf': '20'})
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        for clip in clips:
            frames = read_clip(
                osp.join(data_root, clip['path']), size, repeat)
            for image in frames:
                frame = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(image), format='yuv420p')
                frame.pts = num
                num += 1
                out.mux(stream.encode(frame))
            begin = num - len(frames)
            segments.append((begin / fps, num / fps, clip['label']))
        out.mux(stream.encode())
    return segments


def main(argv=None):
    """Makes the videos, the lists and the index."""
    args = parse_args(argv)
    rng = random.Random(args.seed)
    rows = read_table(args)
    train, val = split_groups(rows, args.val_share, rng)
    if not train or not val:
        groups = {r['source_group'] for r in rows}
        sys.exit(f'{len(rows)} clips of {len(groups)} source groups cannot be '
                 'split; change --val-share')
    os.makedirs(osp.join(args.out, 'videos'), exist_ok=True)
    size = output_size(osp.join(args.data_root, rows[0]['path']),
                       args.short_side)
    tasks, parts = [], []
    for part, pool, num in (('train', train, args.num_train),
                            ('val', val, args.num_val)):
        for i, clips in enumerate(
                deal(pool, num, args.clips_per_video, rng)):
            name = f'videos/{part}_{i:03d}.mp4'
            tasks.append((osp.join(args.out, name), clips))
            parts.append((part, name))
    make = partial(
        make_video,
        data_root=args.data_root,
        size=size,
        fps=args.fps,
        repeat=args.repeat)
    if args.num_workers > 1:
        segments = track_parallel_progress(make, tasks, args.num_workers)
    else:
        segments = track_progress(make, tasks)
    write_lists(args, rows, parts, segments)
    seconds = {
        part: sum(s[-1][1] for (p, _), s in zip(parts, segments) if p == part)
        for part in ('train', 'val')
    }
    print(f'{args.out}: {args.num_train} training videos ({len(train)} clips, '
          f'{seconds["train"]:.0f} s), {args.num_val} validation videos '
          f'({len(val)} clips, {seconds["val"]:.0f} s), '
          f'{len({r["label"] for r in rows})} classes, {size[0]}x{size[1]}')
    for part, pool in (('training', train), ('validation', val)):
        absent = {r['class'] for r in rows} - {r['class'] for r in pool}
        if absent:
            print(f'  without {part} clips, having one source group only: '
                  f'{", ".join(sorted(absent))}')


def write_lists(args, rows, parts, segments):
    """Writes train.txt, val.txt, classes.txt and index.json."""
    lines, index = defaultdict(list), {}
    for (part, name), found in zip(parts, segments):
        index[name] = probe_video(osp.join(args.out, name))
        for start, end, label in found:
            lines[part].append(f'{name} {start:.6f} {end:.6f} {label}\n')
    for part, text in lines.items():
        with open(osp.join(args.out, f'{part}.txt'), 'w') as f:
            f.writelines(text)
    names = {r['label']: r['class'] for r in rows}
    with open(osp.join(args.out, 'classes.txt'), 'w') as f:
        for label in range(max(names) + 1):
            f.write(names.get(label, f'unused_{label}') + '\n')
    write_video_index(index, osp.join(args.out, 'index.json'))


if __name__ == '__main__':
    main()
