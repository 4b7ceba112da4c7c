# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Makes long videos with known segments by joining short labelled clips.

Reads a table ``path,label,class,source_group`` of short clips, such as those
of JHMDB, and writes, under --out:

- videos/train_000.mp4 ...: the long videos;
- train.txt, val.txt: lists for OnlineVideoDataset with
  ``ann_format='segments'``, one line ``path start end label`` a clip;
- classes.txt: the names of the classes, line by line;
- index.json: the frame counts (``index_file``);
- boxes.csv, with --boxes: ``video,frame,x1,y1,x2,y2,label,person,split``, the
  boxes of every frame of the long videos, frames from 0, pixels of the long
  videos: the input of make_ava_style.py with ``--video-root OUT/videos``.

The table of --boxes has the columns ``class,video,frame,x1,y1,x2,y2``: name
of the clip's class, its file name without suffix, number of the frame in the
clip, from 1, and the box in the clip's pixels. A clip may have several boxes
a frame or none.

All clips of a source group stand on one side of the split. Within a side a
clip comes again only when all others have been used. The same seed gives the
same videos.
"""
import os
import os.path as osp
import random
import sys
from collections import defaultdict
from functools import partial

import numpy as np
import pandas as pd
from mmengine.utils import track_parallel_progress, track_progress

from mmaction_memvit.annotations.class_names import write_class_names
from mmaction_memvit.annotations.table import data_error, read_table
from mmaction_memvit.annotations.video_list import write_video_list
from mmaction_memvit.command_line import make_parser, tells_errors
from mmaction_memvit.video import PyAVReader, scan_video
from mmaction_memvit.video.index import update_index
from mmaction_memvit.video.write import VideoWriter

CLIP_COLUMNS = ('path', 'label', 'class', 'source_group')
BOX_COLUMNS = ('class', 'video', 'frame', 'x1', 'y1', 'x2', 'y2')


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('table', help='CSV file of the clips')
    add('--out', required=True, help='folder to write to')
    add('--data-root', help='folder that the paths in the table start from, '
        'if not where the table is')
    add('--num-train', type=int, default=12, help='training videos')
    add('--num-val', type=int, default=6, help='validation videos')
    add('--clips-per-video', type=int, nargs=2, default=(8, 16),
        metavar=('MIN', 'MAX'), help='of each video')
    add('--val-share', type=float, default=0.3,
        help="share of every class's clips that validation is made of, about")
    add('--num-classes', type=int, help='only labels below this one')
    add('--short-side', type=int, default=128, help='in pixels, even')
    add('--fps', type=int, default=30, help='of the long videos')
    add('--repeat', type=int, default=1,
        help='play every clip so many times, to and fro')
    add('--boxes', help="CSV file of the persons' boxes in the clips")
    add('--seed', type=int, default=0, help='of everything drawn')
    add('--num-workers', type=int, default=1, help='processes')
    args = parser.parse_args(argv)
    low, high = args.clips_per_video
    if not 1 <= low <= high:
        parser.error(f'--clips-per-video {low} {high}: MIN must be at least 1 '
                     'and MAX no less')
    if args.short_side % 2:
        parser.error(f'--short-side {args.short_side} must be even')
    if not 0 < args.val_share < 1:
        parser.error(f'--val-share {args.val_share} must be between 0 and 1')
    if args.data_root is None:
        args.data_root = osp.dirname(osp.abspath(args.table))
    return args


def read_clip_table(path, num_classes=None):
    """Reads the table of clips that lists and long videos are made from.

    The CSV file has columns ``path``, ``label``, ``class`` (its name) and
    ``source_group``, a dict a row, the label as int. Rows with labels of
    ``num_classes`` and more are left out.
    """
    form = f'give it a first line {",".join(CLIP_COLUMNS)}, and rows'
    table = read_table(path).with_header(CLIP_COLUMNS, form)
    labels = table.integers('label', 0)
    rows, names = [], {}
    for i, (label, name) in enumerate(zip(labels.tolist(), table['class'])):
        if names.setdefault(label, name) != name:
            raise data_error(
                table.where(i), f'label {label} is called {names[label]!r} '
                f'before and {name!r} here', 'give every label one name')
        if num_classes is None or label < num_classes:
            rows.append(dict(zip(CLIP_COLUMNS, (
                table['path'][i], label, name, table['source_group'][i]))))
    if not rows:
        raise data_error(path, 'it holds no clip', form)
    return rows


def read_boxes(path):
    """The boxes of the clips: {(class, clip): {frame from 0: [box, ...]}}."""
    form = f'name the columns {",".join(BOX_COLUMNS)} in the first line'
    table = read_table(path).with_header(BOX_COLUMNS, form)
    frames = table.integers(
        'frame', 1, remedy='count frames from 1; if they begin at 0, add 1')
    boxes = defaultdict(lambda: defaultdict(list))
    sides = np.stack([table.numbers(k) for k in BOX_COLUMNS[3:]], 1)
    for row, key in enumerate(zip(table['class'], table['video'])):
        if not np.isfinite(sides[row]).all():
            raise data_error(
                table.where(row), 'x1, y1, x2, y2 = '
                f'{[table[k][row] for k in BOX_COLUMNS[3:]]} are no four '
                'numbers', 'correct the row')
        boxes[key][int(frames[row]) - 1].append(tuple(sides[row].tolist()))
    if not boxes:
        raise data_error(path, 'it holds no box', form)
    return boxes


def clip_key(clip):
    """By what a clip is named in the table of boxes."""
    return clip['class'], osp.splitext(osp.basename(clip['path']))[0]


def check_boxes(args, rows, boxes):
    """Says which clips lack boxes; none has any is an error."""
    lacking = [r['path'] for r in rows if clip_key(r) not in boxes]
    if len(lacking) == len(rows):
        sys.exit(f'{args.boxes} has boxes of none of the {len(rows)} clips, '
                 f'such as {clip_key(rows[0])}; class and video must be the '
                 "clip's class and its file name without suffix")
    if lacking:
        print(f'{len(lacking)} of {len(rows)} clips have no boxes, the first '
              f'is {lacking[0]}')


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


def played_frames(num, repeat):
    """Numbers of a clip's frames as played: forwards, backwards, ..."""
    order = range(num)
    return [i for t in range(repeat) for i in order[::-1 if t % 2 else 1]]


def clip_size(path):
    """Width and height of a video in pixels, as a player shows it."""
    entry = scan_video(path)
    return entry['width'], entry['height']


def output_size(path, short_side):
    """Width and height of the output, both even."""
    width, height = clip_size(path)
    scale = short_side / min(width, height)
    return tuple(int(round(x * scale / 2)) * 2 for x in (width, height))


def moved_boxes(path, boxes, num_frames, size, repeat):
    """The boxes of a clip as played, [(frame, box), ...], in output pixels."""
    late = max(boxes, default=0)
    if late >= num_frames:
        raise ValueError(
            f'{path} has {num_frames} frames but a box at frame {late + 1} '
            '(from 1); mend or drop these rows of the table of boxes')
    source = clip_size(path)
    scale = [size[k] / source[k] for k in (0, 1)] * 2
    return [(number, [x * s for x, s in zip(box, scale)])
            for number, i in enumerate(played_frames(num_frames, repeat))
            for box in boxes.get(i, ())]


def make_video(task, data_root, size, fps, repeat, boxes=None):
    """Writes one long video.

    Returns its segments (start, end, label) and, if ``boxes`` are given, its
    boxes (frame, x1, y1, x2, y2, class, number of the segment).
    """
    path, clips = task
    segments, found, num = [], [], 0
    out = VideoWriter(path, fps, crf='20', preset='medium')
    for clip in clips:
        source = osp.join(data_root, clip['path'])
        reader = PyAVReader(source)
        images = reader.read(range(reader.num_frames), size)
        reader.close()
        order = played_frames(len(images), repeat)
        if boxes is not None:
            found += [(num + i, *box, clip['class'], len(segments))
                      for i, box in moved_boxes(
                          source, boxes.get(clip_key(clip), {}), len(images),
                          size, repeat)]
        for i in order:
            out.write(images[i])
        segments.append((num / fps, (num + len(order)) / fps, clip['label']))
        num += len(order)
    out.close()
    return segments, found


@tells_errors
def main(argv=None):
    """Makes the videos, the lists and the index."""
    args = parse_args(argv)
    rng = random.Random(args.seed)
    boxes = None
    rows = read_clip_table(args.table, args.num_classes)
    if args.boxes:
        boxes = {k: dict(v) for k, v in read_boxes(args.boxes).items()}
        check_boxes(args, rows, boxes)
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
        for i, clips in enumerate(deal(pool, num, args.clips_per_video, rng)):
            name = f'videos/{part}_{i:03d}.mp4'
            tasks.append((osp.join(args.out, name), clips))
            parts.append((part, name))
    make = partial(make_video, data_root=args.data_root, size=size,
                   fps=args.fps, repeat=args.repeat, boxes=boxes)
    if args.num_workers > 1:
        made = track_parallel_progress(make, tasks, args.num_workers)
    else:
        made = track_progress(make, tasks)
    segments = [s for s, _ in made]
    write_lists(args, rows, parts, segments)
    if boxes is not None:
        write_boxes(args, parts, [b for _, b in made])
    seconds = {
        part: sum(s[-1][1] for (p, _), s in zip(parts, segments) if p == part)
        for part in ('train', 'val')}
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
    lines = defaultdict(list)
    for (part, name), found in zip(parts, segments):
        lines[part] += [(name, f'{start:.6f}', f'{end:.6f}', label)
                        for start, end, label in found]
    for part, listed in lines.items():
        write_video_list(osp.join(args.out, f'{part}.txt'), listed)
    write_class_names(osp.join(args.out, 'classes.txt'),
                      {r['label']: r['class'] for r in rows})
    update_index({}, {name: osp.join(args.out, name) for _, name in parts},
                 osp.join(args.out, 'index.json'), args.num_workers)


def write_boxes(args, parts, boxes):
    """Writes boxes.csv."""
    path = osp.join(args.out, 'boxes.csv')
    rows = [(osp.basename(name), *box, part)
            for (part, name), found in zip(parts, boxes) for box in found]
    pd.DataFrame(
        rows,
        columns=('video', 'frame', 'x1', 'y1', 'x2', 'y2', 'label', 'person',
                 'split')).to_csv(path, index=False, float_format='%.2f')
    print(f'{path}: {sum(map(len, boxes))} boxes; next: make_ava_style.py '
          f'{path} --video-root {osp.join(args.out, "videos")}')


if __name__ == '__main__':
    main()
