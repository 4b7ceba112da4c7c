# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Writes the lists of short labelled videos, one label each.

    python tools/data/make_video_list.py VIDEOS --out data/custom

VIDEOS is a folder with one folder for each class, named as it, or a table
``path,label,class,source_group`` (CSV, paths from its folder), such as that of
JHMDB. Written are train.txt and val.txt, one line ``path label`` a video,
which VideoClipsDataset and OnlineVideoDataset read, and classes.txt.
MMAction2's VideoDataset reads them, too, if no path has a space: at those it
stops. A note says so.
Videos of a source group stand on one side of the split; in folders each
video is a group. The same seed gives the same lists. Then count the frames:

    python tools/data/build_video_index.py data/custom/train.txt \
        data/custom/val.txt --data-root VIDEOS --out data/custom/index.json
"""
import os.path as osp
import random
import sys
from collections import Counter

from concat_videos import read_clip_table, split_groups
from mmengine.fileio import list_dir_or_file

from mmaction_memvit.annotations.class_names import write_class_names
from mmaction_memvit.annotations.video_list import write_video_list
from mmaction_memvit.command_line import make_parser, tells_errors
from mmaction_memvit.video.find import list_videos


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('table', metavar='VIDEOS', help='folder or table')
    add('--out', required=True, help='folder to write to')
    add('--val-share', type=float, default=0.3,
        help="share of every class's videos that validation is made of, "
        'about')
    add('--num-classes', type=int, help='only labels below this one')
    add('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    if not 0 < args.val_share < 1:
        parser.error(f'--val-share {args.val_share} must be between 0 and 1')
    return args


def read_folders(args):
    """Rows as of a table, of the videos in folders of classes."""
    names = sorted(x for x in list_dir_or_file(args.table, list_file=False)
                   if not x.startswith('.'))
    rows = []
    for label, name in enumerate(names[:args.num_classes]):
        found = list_videos(osp.join(args.table, name))
        if not found:
            sys.exit(f'{osp.join(args.table, name)} has no video; each folder '
                     f'in {args.table} must be a class with its videos')
        for path in found:
            path = osp.join(name, path)
            rows.append({
                'path': path,
                'label': label,
                'class': name,
                'source_group': path})
    if not rows:
        sys.exit(f'{args.table} has no folders; it must have one for each '
                 'class')
    return rows


@tells_errors
def main(argv=None):
    """Writes the lists."""
    args = parse_args(argv)
    rows = read_folders(args) if osp.isdir(args.table) else \
        read_clip_table(args.table, args.num_classes)
    write(args, rows)


def write(args, rows):
    """Divides the videos and writes the lists."""
    parts = split_groups(rows, args.val_share, random.Random(args.seed))
    if not all(parts):
        sys.exit(f'{len(rows)} videos cannot be split; change --val-share')
    for name, part in zip(('train', 'val'), parts):
        write_video_list(osp.join(args.out, f'{name}.txt'),
                         sorted((row['path'], row['label']) for row in part))
    classes = {row['label']: row['class'] for row in rows}
    write_class_names(osp.join(args.out, 'classes.txt'), classes)
    print(f'{args.out}: {len(classes)} classes, {len(parts[0])} training '
          f'videos, {len(parts[1])} validation videos')
    spaces = [row['path'] for row in rows if len(row['path'].split()) > 1]
    if spaces:
        print(f'note: {len(spaces)} paths have a space, such as '
              f"{spaces[0]!r}: VideoClipsDataset and OnlineVideoDataset read "
              "them, MMAction2's VideoDataset does not; for that one, rename "
              'these files or folders')
    counts = Counter(row['label'] for row in parts[1])
    lacking = [classes[k] for k in sorted(classes) if not counts[k]]
    if lacking:
        print(f'no validation video of {", ".join(lacking)}; take another '
              '--seed or a larger --val-share')


if __name__ == '__main__':
    main()
