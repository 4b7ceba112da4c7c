# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Makes a data set in AVA form out of videos and a table of boxes.

The table is a CSV or TSV file with a header and one line a box:

- ``video``: path under --video-root, with or without suffix;
- ``time`` (seconds from the first frame) or ``frame`` (number, see
  --frame-base);
- ``x1,y1,x2,y2``: left, upper, right and lower edge, in pixels of the video
  or as shares of its width and height;
- ``label``: name or id of what the person does; several are joined by ``;``;
  empty: a person that does nothing of interest;
- if wanted ``person`` (who it is), ``score`` (of the person detector, 0 to 1)
  and ``split`` (train or val).

Written to --out are

- train.csv, val.csv: ``video,timestamp,x1,y1,x2,y2,action,person``;
- proposals_train.pkl, proposals_val.pkl: all boxes at keyframes, with and
  without label, ``{'video,0012': (N, 5)}``;
- label_map.pbtxt; index.json (frame counts).

A timestamp counts keyframes from the first frame of the video: seconds with
``--keyframe-rate 1``. Boxes between keyframes are left out.
"""
import argparse
import os
import os.path as osp
import sys
import unicodedata
from collections import defaultdict
from typing import Any

from mmengine.utils import track_iter_progress, track_parallel_progress

from mmaction_memvit.annotations.table import BadRow, BadRows
from mmaction_memvit.messages import first_names
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.index import is_video, walk

# The tools beside this one and above, however it was started.
FOLDER = osp.dirname(osp.abspath(__file__))
sys.path[:0] = [FOLDER, osp.dirname(FOLDER)]
from ava_set_files import summary, write_set  # noqa: E402
from ava_set_rows import (  # noqa: E402
    decide_unit,
    nearest_frames,
    place_boxes,
    set_labels,
    set_splits,
)
from box_table import BOX, Box, read_box_table  # noqa: E402

__all__ = ['BOX', 'nearest_frames']


class _Help(argparse.ArgumentDefaultsHelpFormatter,
            argparse.RawDescriptionHelpFormatter):
    pass


def parse_args(argv=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=_Help)
    add = parser.add_argument
    add('table', help='CSV or TSV file of the boxes')
    add('--video-root', required=True, help='folder of the videos')
    add('--out', required=True, help='folder to write to')
    add('--frame-base', type=int, choices=(0, 1), default=0,
        help='number of the first frame in the column frame')
    add('--box-unit', choices=('auto', 'pixel', 'share'), default='auto',
        help='of the columns x1 to y2; auto says what it decided and stops '
        'where it is in doubt')
    add('--keyframe-rate', type=int, default=1,
        help='keyframes per second of video')
    add('--tolerance', type=float, default=0,
        help='seconds by which boxes may stand beside their keyframe; the '
        'nearest frame with boxes counts. With 0 the frame nearest to the '
        'keyframe, which is at most half a frame away')
    add('--label-map',
        help='names of the actions with ids 1, 2, ...: a text file with a '
        "name a line, or a .pbtxt in AVA's form; else the names of the table "
        'in alphabetical order')
    add('--label-base', type=int, choices=(0, 1), default=1,
        help='where the column label holds ids: the first id; 0 adds one to '
        'all, because AVA form keeps 0 for the background')
    add('--val-share', type=float, default=0.2,
        help='without a column split: share of every action that goes to '
        'validation, about')
    add('--group-column',
        help='without a column split: rows with the same value here stay on '
        'one side; else only those of a video do')
    add('--seed', type=int, default=0, help='of the split')
    add('--bad-rows', choices=('error', 'skip'), default='error',
        help='what to do about rows that cannot be used; skipped ones are '
        'counted')
    add('--max-overshoot', type=float, default=1,
        help='pixels by which a box may reach over the edge of the frame; it '
        'is cut there and counted')
    add('--num-workers', type=int, default=1, help='processes')
    args = parser.parse_args(argv)
    if args.keyframe_rate < 1:
        parser.error(f'--keyframe-rate {args.keyframe_rate} must be at least '
                     '1')
    if not 0 <= args.tolerance < 0.5 / args.keyframe_rate:
        parser.error(
            f'--tolerance {args.tolerance:g} must be from 0 to below half the '
            f'time from keyframe to keyframe, {0.5 / args.keyframe_rate:g} s')
    if not 0 < args.val_share < 1:
        parser.error(f'--val-share {args.val_share} must be between 0 and 1')
    return args


def find_videos(root: str) -> tuple[set[str], dict[str, list[str]]]:
    """Lists the files under a folder, and the videos by path without suffix.

    Paths are relative to the folder, with forward slashes. Any file may be
    named in full; without its suffix only one that ends like a video.
    """
    if not osp.isdir(root):
        raise ValueError(f'--video-root {root} is no folder')
    files, stems = set(), defaultdict(list)
    for folder, _, names in walk(root):
        for name in names:
            path = osp.join(folder, name).replace(os.sep, '/')
            files.add(path)
            if is_video(path):
                stems[composed(osp.splitext(path)[0])].append(path)
    if not files:
        raise ValueError(f'--video-root {root} is empty')
    return files, stems


def composed(name: str) -> str:
    """A name with accents as one code point each; disks of Macs have two."""
    return unicodedata.normalize('NFC', name)


def match_videos(args, rows: list[Box],
                 bad: BadRows) -> tuple[list[Box], dict[str, str]]:
    """Sets the file of every row.

    Returns:
        tuple: The rows that have one, and the id of every file in the tables:
        its path without suffix, or with it where another video differs in
        the suffix only.
    """
    files, stems = find_videos(args.video_root)
    names = {composed(file): file for file in files}
    found: dict[str, Any] = {}
    for name in dict.fromkeys(row.video for row in rows):
        if any(c in name for c in ',"\n\r'):
            raise ValueError(
                f'video={name!r} holds a comma, quote or line break, which '
                "AVA's CSV files cannot carry; rename the video")
        path = name.replace('\\', '/')
        path = path[2:] if path.startswith('./') else path
        if path in files:
            found[name] = path
            continue
        path = composed(path)
        if path in names:
            found[name] = names[path]
        elif len(stems.get(path, ())) == 1:
            found[name] = stems[path][0]
        elif path in stems:
            found[name] = BadRow(
                'ambiguous video', f'video={name!r} may be any of '
                f'{first_names(sorted(stems[path]))}; add the suffix')
        else:
            base = osp.splitext(osp.basename(path))[0]
            near = [x for x in sorted(files)
                    if osp.splitext(osp.basename(x))[0] == base]
            hint = (f'; do you mean {near[0]!r}?' if near else
                    f'; the folder holds {first_names(sorted(files), 2)}')
            found[name] = BadRow(
                'unknown video', f'video={name!r} is not under --video-root '
                f'{args.video_root}{hint}')
    good = []
    for row in rows:
        if isinstance(found[row.video], BadRow):
            bad.add(row.row, found[row.video])
        else:
            row.file = found[row.video]
            good.append(row)
    ids = {}
    for file in sorted({row.file for row in good}):
        stem = composed(osp.splitext(file)[0])
        ids[file] = file if len(
            stems.get(stem, ())) > 1 else osp.splitext(file)[0]
    return good, ids


def probe_videos(args, files: list[str]) -> dict[str, dict]:
    """Counts the frames of the videos."""
    print(f'counting the frames of {len(files)} video(s)', flush=True)
    paths = [osp.join(args.video_root, x) for x in files]
    if args.num_workers > 1:
        entries = track_parallel_progress(probe_video, paths,
                                          args.num_workers)
    else:
        entries = [probe_video(x) for x in track_iter_progress(paths)]
        print()
    index = dict(zip(files, entries))
    for name, entry in index.items():
        if 'problem' in entry:
            print(f'{name}: {entry["problem"]}')
        if 'time_drift' in entry:
            print(f'{name}: uneven frame times, off by up to '
                  f'{entry["time_drift"]:g} s')
    broken = [x for x, e in index.items() if not e['num_frames']]
    if broken:
        raise ValueError(f'{first_names(broken)} cannot be read; drop their '
                         'rows or mend the files')
    slow = min(index, key=lambda name: index[name]['fps'])
    if args.keyframe_rate > index[slow]['fps']:
        raise ValueError(
            f'--keyframe-rate {args.keyframe_rate} is above the '
            f'{index[slow]["fps"]:g} frames per second of {slow}; lower it')
    return index


def make_ava_style(args) -> list[Box]:
    """Makes the data set; returns its rows."""
    rows, time, bad = read_box_table(args.table, args.frame_base,
                                     args.group_column, args.bad_rows)
    has_split = any(row.split for row in rows)
    rows, ids = match_videos(args, rows, bad)
    if rows and args.box_unit == 'auto':
        args.box_unit = decide_unit(rows, bad)
        print(f'--box-unit auto: {args.box_unit}, as the largest coordinate '
              f'is {max(max(row.box) for row in rows):g}')
    elif rows and args.box_unit == 'pixel' and max(
            max(row.box) for row in rows) <= 1:
        raise ValueError(
            f'{args.table}: with --box-unit pixel no coordinate is above 1 '
            'pixel; these are shares: --box-unit share')
    if args.bad_rows == 'error':
        # Before the videos are read, which takes its time.
        bad.good()
    if not rows:
        bad.good()
        raise ValueError(f'{args.table} holds no usable row')
    index = probe_videos(args, sorted({row.file for row in rows}))
    placed, counts = place_boxes(args, rows, time, index, bad)
    num_placed = len(placed)
    names = set_labels(args, rows, bad)
    placed = [row for row in placed if row.timestamp >= 0]
    bad.good()
    if not any(row.ids for row in placed):
        raise ValueError(
            f'none of {len(rows)} rows is a labelled box at one of the '
            f'keyframes, {args.keyframe_rate} a second; '
            + ('see --tolerance and --keyframe-rate' if not num_placed else
               'label boxes at keyframes'))
    set_splits(args, placed, has_split)
    write_set(args, placed, index, names, ids)
    num_rows = len(placed) + counts['between keyframes']
    print(f'{args.out}: {summary(args, placed, names, num_rows, counts)}')
    return placed


def main(argv=None) -> None:
    """Makes the data set, or ends with an error message."""
    args = parse_args(argv)
    try:
        make_ava_style(args)
    except (OSError, ValueError) as e:
        sys.exit(str(e))


if __name__ == '__main__':
    main()
