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
import os
import os.path as osp
import sys
from collections import Counter

import numpy as np
import pandas as pd

from mmaction_memvit.annotations.ava import write_rows
from mmaction_memvit.annotations.class_names import write_label_map
from mmaction_memvit.annotations.proposals import write_proposals
from mmaction_memvit.annotations.table import BadRows
from mmaction_memvit.command_line import make_parser, tells_errors
from mmaction_memvit.messages import first_names, text_table
from mmaction_memvit.video.find import is_video, match_videos, walk
from mmaction_memvit.video.index import earlier_index, update_index

# The tools beside this one and above, however it was started.
FOLDER = osp.dirname(osp.abspath(__file__))
sys.path[:0] = [FOLDER, osp.dirname(FOLDER)]
from box_table import (  # noqa: E402
    BOX,
    DIGITS,
    SPLITS,
    decide_unit,
    is_int,
    place_boxes,
    read_box_table,
    set_labels,
    set_splits,
)


def parse_args(argv=None):
    parser = make_parser(__doc__)
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


def find_files(args, rows: pd.DataFrame, bad: BadRows) -> dict[str, str]:
    """Sets ``file`` of the rows; returns the id of every file in AVA's tables.

    That is its path without suffix, or with it where another video differs in
    the suffix only.
    """
    root = args.video_root
    if not osp.isdir(root):
        raise ValueError(f'--video-root {root} is no folder')
    files = [osp.join(folder, name).replace(os.sep, '/')
             for folder, _, names in walk(root) for name in names]
    names = rows.loc[~bad.bad, 'video'].unique()
    odd = [x for x in names if any(c in x for c in ',"\n\r')]
    if odd:
        raise ValueError(
            f'video={odd[0]!r} holds a comma, quote or line break, which '
            "AVA's CSV files cannot carry; rename the video")
    found = match_videos({x: [x] for x in names}, files)

    def hint(name: str) -> str:
        base = osp.splitext(osp.basename(name))[0]
        near = [x for x in sorted(files)
                if osp.splitext(osp.basename(x))[0] == base]
        return (f'do you mean {near[0]!r}?' if near else
                f'the folder holds {first_names(sorted(files), 2)}')

    num = rows['video'].map(lambda x: len(found.get(x, ())))
    bad.flag(num == 0, 'unknown video', lambda i:
             f'video={rows.video[i]!r} is not under --video-root {root}; '
             f'{hint(rows.video[i])}')
    bad.flag(num > 1, 'ambiguous video', lambda i:
             f'video={rows.video[i]!r} may be any of '
             f'{first_names(sorted(found[rows.video[i]]))}; add the suffix')
    rows['file'] = [found.get(x, [''])[0] for x in rows['video']]
    stems = Counter(osp.splitext(x)[0] for x in files if is_video(x))
    return {x: x if stems[osp.splitext(x)[0]] > 1 else osp.splitext(x)[0]
            for x in rows.loc[~bad.bad, 'file'].unique()}


def probe_videos(args, files: list[str]) -> dict[str, dict]:
    """Counts the frames of the videos and writes the index."""
    path = osp.join(args.out, 'index.json')
    # Of other videos it is kept: another list may need them.
    index = earlier_index(path)
    update_index(index, {x: osp.join(args.video_root, x) for x in files}, path,
                 args.num_workers)
    index = {x: index[x] for x in files}
    for name, entry in index.items():
        if 'problem' in entry:
            print(f'{name}: {entry["problem"]}')
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


def write_split(args, rows: pd.DataFrame, split: str,
                ids: dict[str, str]) -> None:
    """Writes annotations and proposals of one side, twins once."""
    rows = rows[rows['split'] == split].assign(
        id=lambda x: x['file'].map(ids), number=-1)
    for _, own in rows[rows['person'] != ''].groupby('file'):
        # Numbers of persons stay as they are; names are numbered.
        rows.loc[own.index, 'number'] = (
            own['person'].astype(int) if own['person'].map(is_int).all() else
            pd.factorize(own['person'])[0])
    labelled = rows.explode('ids').dropna(subset=['ids'])
    labelled = labelled.sort_values(
        ['id', 'timestamp'], kind='stable').drop_duplicates(
            ['id', 'timestamp', *BOX, 'ids'])
    write_rows(osp.join(args.out, f'{split}.csv'), (
        (name, time, *(f'{x:.{DIGITS}f}' for x in box), action, person)
        for name, time, *box, action, person in labelled[
            ['id', 'timestamp', *BOX, 'ids', 'number']].itertuples(False)))
    best = rows.groupby(['id', 'timestamp', *BOX], sort=False)[
        'score'].max().reset_index().sort_values(
            'score', ascending=False, kind='stable')
    write_proposals(
        osp.join(args.out, f'proposals_{split}.pkl'), {
            key: own[[*BOX, 'score']].to_numpy(np.float32)
            for key, own in best.groupby(['id', 'timestamp'])})


def summary(args, rows: pd.DataFrame, names: dict[int, str], between: int,
            num_cut: int) -> str:
    """Says what the set holds and how to use it."""
    lines = [
        f'{len(rows) + between} usable rows: {len(rows)} at keyframes ('
        f'{args.keyframe_rate} a second), {between} between keyframes left '
        f'out; {num_cut} box(es) cut at the edge of the frame']
    keyframe, box = ['file', 'timestamp'], ['file', 'timestamp', *BOX]
    same = int(rows.assign(ids=rows['ids'].map(str)).duplicated(
        [*box, 'ids']).sum())
    if same:
        lines.append(f'{same} row(s) say what another says and count once')
    parts = [rows[rows['split'] == s] for s in SPLITS]
    counts = [part['ids'].explode().value_counts() for part in parts]
    table = [['', *SPLITS]]
    for label, columns in (('videos', ['file']),
                           ('keyframes with boxes', keyframe), ('boxes', box)):
        table.append([label, *(len(x.drop_duplicates(columns))
                               for x in parts)])
    table.append(['boxes without label',
                  *(int((x['ids'].map(len) == 0).sum()) for x in parts)])
    for number, name in names.items():
        table.append([f'{number} {name}',
                      *(int(x.get(number, 0)) for x in counts)])
    lines += ['', text_table(table), '']
    for split, found in zip(SPLITS, counts):
        absent = [n for k, n in names.items() if k not in found.index]
        if absent:
            lines.append(f'no {split} box of {first_names(absent)}')
    low = rows['score'].min()
    if low < 0.9:
        lines.append(f'scores go down to {low:g}: person_det_score_thr (0.9 '
                     'by default) drops proposals below it')
    labelled = rows.loc[rows['ids'].map(bool), 'file']
    blank = sorted({*rows['file']} - {*labelled})
    if blank:
        lines.append(f'{len(blank)} video(s) without any labelled box will '
                     f'not be used: {first_names(blank)}')
    # Every action up to the highest id has a column, and the background.
    return '\n'.join(lines + [
        '', 'Lines for your config:', '', f'num_classes = {max(names) + 1}',
        f'data_root = {osp.normpath(args.out)!r}',
        f'video_folder = {osp.normpath(args.video_root)!r}',
        f'keyframe_rate = {args.keyframe_rate}'])


def make_ava_style(args) -> None:
    """Makes the data set."""
    rows, time, bad = read_box_table(args.table, args.frame_base,
                                     args.group_column, args.bad_rows)
    ids = find_files(args, rows, bad)
    top = rows.loc[~bad.bad, BOX].max().max()
    if not bad.bad.all() and args.box_unit == 'auto':
        args.box_unit = decide_unit(rows, bad)
        print(f'--box-unit auto: {args.box_unit}, as the largest coordinate '
              f'is {top:g}')
    elif args.box_unit == 'pixel' and top <= 1:
        raise ValueError(
            f'{args.table}: with --box-unit pixel no coordinate is above 1 '
            'pixel; these are shares: --box-unit share')
    if args.bad_rows == 'error' or bad.bad.all():
        # Before the videos are read, which takes its time.
        bad.good()
    if bad.bad.all():
        raise ValueError(f'{args.table} holds no usable row')
    index = probe_videos(args, sorted(ids))
    num_cut = place_boxes(args, rows, time, index, bad)
    if args.bad_rows == 'error':
        bad.good()
    names = set_labels(args, rows, bad)
    usable = rows[bad.good()]
    placed = usable[usable['timestamp'] >= 0].copy()
    if not placed['ids'].map(bool).any():
        raise ValueError(
            f'none of {len(usable)} rows is a labelled box at one of the '
            f'keyframes, {args.keyframe_rate} a second; '
            + ('label boxes at keyframes' if len(placed) else
               'see --tolerance and --keyframe-rate'))
    set_splits(args, placed)
    for split in SPLITS:
        write_split(args, placed, split, ids)
    write_label_map(osp.join(args.out, 'label_map.pbtxt'), names)
    text = summary(args, placed, names, len(usable) - len(placed), num_cut)
    print(f'{args.out}: {text}')


@tells_errors
def main(argv=None) -> None:
    """Makes the data set, or ends with an error message."""
    args = parse_args(argv)
    make_ava_style(args)


if __name__ == '__main__':
    main()
