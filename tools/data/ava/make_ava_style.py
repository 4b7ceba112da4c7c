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
import csv
import math
import os
import os.path as osp
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Optional

import mmengine
import numpy as np
from mmengine.utils import track_iter_progress, track_parallel_progress

from mmaction_memvit.annotations.label_map import (
    read_label_map as read_ava_label_map,
)
from mmaction_memvit.annotations.label_map import write_label_map
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.find import is_video, walk
from mmaction_memvit.video.index import first_names, write_video_index

# The tool of the folder above, however this one was started.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))
from concat_videos import split_groups  # noqa: E402

SPLITS = ('train', 'val')
BOX = ('x1', 'y1', 'x2', 'y2')
# Bad rows shown before the tool gives up.
SHOWN = 5
# Of the digits behind the point of a share: a thousandth of a pixel.
DIGITS = 6


class TableError(ValueError):
    """The table or an option does not fit; the message says how to mend it."""


class BadRow(ValueError):
    """A row of the table cannot be used.

    Args:
        kind (str): What is wrong in general, for the counts.
        message (str): Value, limit and remedy.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Box:
    """A row of the table.

    Args:
        line (int): Its line.
        video (str): Its video as the table writes it.
        time (float): Seconds, or number of the frame from 0.
        box (list[float]): x1, y1, x2, y2; shares once it is placed.
        labels (list[str]): Names or ids.
        person (str): Who it is; '' is unknown.
        score (float): Of the detector.
        split (str): 'train', 'val' or ''.
        group (str): Rows of a group stay on one side.
    """
    line: int
    video: str
    time: float
    box: list[float]
    labels: list[str]
    person: str = ''
    score: float = 1.
    split: str = ''
    group: str = ''
    file: str = ''
    timestamp: int = -1
    ids: list[int] = field(default_factory=list)


def parse_args(argv=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', help='CSV or TSV file of the boxes')
    parser.add_argument(
        '--video-root', required=True, help='folder of the videos')
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument(
        '--frame-base',
        type=int,
        choices=(0, 1),
        default=0,
        help='number of the first frame in the column frame (default: 0)')
    parser.add_argument(
        '--box-unit',
        choices=('auto', 'pixel', 'share'),
        default='auto',
        help='of the columns x1 to y2 (default: auto, which says what it '
        'decided and stops where it is in doubt)')
    parser.add_argument(
        '--keyframe-rate',
        type=int,
        default=1,
        help='keyframes per second of video (default: 1)')
    parser.add_argument(
        '--tolerance',
        type=float,
        default=0,
        help='seconds by which boxes may stand beside their keyframe; the '
        'nearest frame with boxes counts (default: 0, the frame nearest to '
        'the keyframe, which is at most half a frame away)')
    parser.add_argument(
        '--label-map',
        help='names of the actions with ids 1, 2, ...: a text file with a '
        "name a line, or a .pbtxt in AVA's form (default: the names of the "
        'table in alphabetical order)')
    parser.add_argument(
        '--label-base',
        type=int,
        choices=(0, 1),
        default=1,
        help='where the column label holds ids: the first id; 0 adds one to '
        'all, because AVA form keeps 0 for the background (default: 1)')
    parser.add_argument(
        '--val-share',
        type=float,
        default=0.2,
        help='without a column split: share of every action that goes to '
        'validation, about (default: %(default)s)')
    parser.add_argument(
        '--group-column',
        help='without a column split: rows with the same value here stay on '
        'one side (default: only those of a video do)')
    parser.add_argument('--seed', type=int, default=0, help='of the split')
    parser.add_argument(
        '--bad-rows',
        choices=('error', 'skip'),
        default='error',
        help='what to do about rows that cannot be used; skipped ones are '
        'counted (default: error)')
    parser.add_argument(
        '--max-overshoot',
        type=float,
        default=1,
        help='pixels by which a box may reach over the edge of the frame; it '
        'is cut there and counted (default: 1)')
    parser.add_argument(
        '--num-workers', type=int, default=1, help='processes')
    args = parser.parse_args(argv)
    for name in ('keyframe_rate', 'num_workers'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)} '
                         'must be at least 1')
    for name in ('tolerance', 'max_overshoot'):
        if not getattr(args, name) >= 0:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)} '
                         'must not be negative')
    if not args.tolerance < 0.5 / args.keyframe_rate:
        parser.error(
            f'--tolerance {args.tolerance:g} must be below half the time from '
            f'keyframe to keyframe, {0.5 / args.keyframe_rate:g} s')
    if not 0 < args.val_share < 1:
        parser.error(f'--val-share {args.val_share} must be between 0 and 1')
    return args


class BadRows:
    """Collects rows that cannot be used."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.kinds: Counter = Counter()
        self.messages: list[str] = []
        self.lines: set[int] = set()

    def add(self, line: int, error: BadRow) -> None:
        """Notes a bad row; of several faults of a row the first counts."""
        if line in self.lines:
            return
        self.lines.add(line)
        self.kinds[error.kind] += 1
        if len(self.messages) < SHOWN:
            self.messages.append(f'{self.table}:{line}: {error}')

    def stop_or_report(self, policy: str) -> None:
        """Raises an error if there are bad rows, or prints their counts."""
        total = len(self.lines)
        if not total:
            return
        counts = ', '.join(f'{n} x {kind}' for kind, n in
                           sorted(self.kinds.items()))
        shown = '\n  '.join(self.messages)
        more = total - len(self.messages)
        text = (f'{total} bad row(s): {counts}\n  {shown}'
                + (f'\n  ... and {more} more' if more else ''))
        if policy == 'error':
            raise TableError(
                f'{text}\nMend the table, or leave these rows out by '
                '--bad-rows skip')
        print(f'skipped {text}')


def read_table(args, bad: BadRows) -> tuple[list[Box], str]:
    """Reads the rows; returns them and the name of the column of time."""
    if not osp.isfile(args.table):
        raise TableError(f'{args.table} does not exist')
    with open(args.table, newline='', encoding='utf-8-sig') as f:
        head = f.readline()
        f.seek(0)
        reader = csv.DictReader(f, delimiter='\t' if '\t' in head else ',')
        reader.fieldnames = [
            x.strip().lower() for x in reader.fieldnames or ()
        ]
        time = _check_columns(args, reader.fieldnames)
        rows = []
        for row in reader:
            if not any((v or '').strip() for k, v in row.items() if k):
                continue
            try:
                rows.append(_read_row(args, row, time, reader.line_num))
            except BadRow as e:
                bad.add(reader.line_num, e)
    if not rows and not bad.kinds:
        raise TableError(f'{args.table} holds no box below its header')
    return rows, time


def _check_columns(args, names: list[str]) -> str:
    needed = ('video', *BOX, 'label')
    absent = [x for x in needed if x not in names]
    if absent:
        raise TableError(
            f'{args.table} lacks the column(s) {", ".join(absent)}; its '
            f'header is {",".join(names)!r}, but must name '
            f'{",".join(needed)} and time or frame')
    times = [x for x in ('time', 'frame') if x in names]
    if len(times) != 1:
        raise TableError(
            f'{args.table} has {" and ".join(times) or "neither"} of the '
            'columns time (seconds) and frame (number); it must have one of '
            'them, so rename or drop the other')
    if args.group_column:
        args.group_column = args.group_column.strip().lower()
        if args.group_column not in names:
            raise TableError(
                f'--group-column {args.group_column} is no column of '
                f'{args.table}, which has {",".join(names)}')
        if 'split' in names:
            raise TableError(
                f'{args.table} has a column split, so --group-column '
                f'{args.group_column} has no effect; drop one of them')
    return times[0]


def _read_row(args, row: dict, time: str, line: int) -> Box:

    def text(name: str) -> str:
        return (row.get(name) or '').strip()

    def number(name: str) -> float:
        try:
            value = float(text(name))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadRow('no number',
                         f'{name}={text(name)!r} must be a number')
        return value

    if row.get(None) is not None:
        raise BadRow('too many fields',
                     f'{row[None]} stand(s) beyond the last column; put '
                     'quotes around fields that hold the delimiter')
    if not text('video'):
        raise BadRow('no video', "video='' must name a video")
    when = number(time)
    if time == 'frame':
        if when != int(when):
            raise BadRow('no whole frame',
                         f'frame={when:g} must be a whole number; name the '
                         'column time if it holds seconds')
        when -= args.frame_base
    if when < 0:
        raise BadRow(
            'before the start', f'{time}={text(time)} lies before the first '
            + (f'frame, number {args.frame_base}; see --frame-base'
               if time == 'frame' else 'frame, at 0 s'))
    box = [number(name) for name in BOX]
    if box[2] <= box[0] or box[3] <= box[1]:
        raise BadRow(
            'empty box', 'x1, y1, x2, y2 = '
            f'{", ".join(f"{x:g}" for x in box)}: x2 must be greater than x1 '
            'and y2 than y1; are these centre, width and height?')
    score = number('score') if text('score') else 1.
    if not 0 <= score <= 1:
        raise BadRow('score', f'score={score:g} must be between 0 and 1')
    split = text('split').lower()
    if 'split' in row and split not in SPLITS:
        raise BadRow('split', f'split={text("split")!r} must be one of '
                     f'{", ".join(SPLITS)}')
    labels = [x.strip() for x in text('label').split(';') if x.strip()]
    group = text(args.group_column) if args.group_column else ''
    return Box(line, text('video'), when, box, labels, text('person'), score,
               split, group)


def find_videos(root: str) -> tuple[set[str], dict[str, list[str]]]:
    """Lists the files under a folder, and the videos by path without suffix.

    Paths are relative to the folder, with forward slashes. Any file may be
    named in full; without its suffix only one that ends like a video.
    """
    if not osp.isdir(root):
        raise TableError(f'--video-root {root} is no folder')
    files, stems = set(), defaultdict(list)
    for folder, _, names in walk(root):
        for name in names:
            path = osp.join(folder, name).replace(os.sep, '/')
            files.add(path)
            if is_video(path):
                stems[osp.splitext(path)[0]].append(path)
    if not files:
        raise TableError(f'--video-root {root} is empty')
    return files, stems


def match_videos(args, rows: list[Box],
                 bad: BadRows) -> tuple[list[Box], dict[str, str]]:
    """Sets the file of every row.

    Returns:
        tuple: The rows that have one, and the id of every file in the tables:
        its path without suffix, or with it where another video differs in
        the suffix only.
    """
    files, stems = find_videos(args.video_root)
    found: dict[str, Any] = {}
    for name in dict.fromkeys(row.video for row in rows):
        if any(c in name for c in ',"\n\r'):
            raise TableError(
                f'video={name!r} holds a comma, quote or line break, which '
                "AVA's CSV files cannot carry; rename the video")
        path = name.replace('\\', '/')
        path = path[2:] if path.startswith('./') else path
        if path in files:
            found[name] = path
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
            bad.add(row.line, found[row.video])
        else:
            row.file = found[row.video]
            good.append(row)
    ids = {}
    for file in sorted({row.file for row in good}):
        stem = osp.splitext(file)[0]
        ids[file] = file if len(stems.get(stem, ())) > 1 else stem
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
        raise TableError(f'{first_names(broken)} cannot be read; drop their '
                         'rows or mend the files')
    slow = min(index, key=lambda name: index[name]['fps'])
    if args.keyframe_rate > index[slow]['fps']:
        raise TableError(
            f'--keyframe-rate {args.keyframe_rate} is above the '
            f'{index[slow]["fps"]:g} frames per second of {slow}; lower it')
    return index


def decide_unit(rows: list[Box], table: str) -> str:
    """Tells pixels from shares, or raises an error where that is unclear."""
    largest = max(rows, key=lambda row: max(row.box))
    top = max(largest.box)
    if top <= 1:
        return 'share'
    small = next((row for row in rows if max(row.box) <= 1), None)
    if top <= 2:
        raise TableError(
            f'{table}:{largest.line}: the largest coordinate is {top:g}: '
            'shares that reach over the edge, or pixels? Say so by '
            '--box-unit share or --box-unit pixel')
    if small is not None:
        raise TableError(
            f'{table}:{small.line}: all coordinates of this box are at most '
            f'1, but line {largest.line} has {top:g}: shares and pixels mixed '
            'up? Mend the table, or say --box-unit')
    return 'pixel'


def place_boxes(args, rows: list[Box], time: str, index: dict,
                bad: BadRows) -> tuple[list[Box], dict[str, int]]:
    """Turns boxes into shares and picks those at keyframes.

    Sets ``timestamp`` and ``box`` of the rows.

    Returns:
        tuple: The rows at keyframes, and counts of what was done.
    """
    counts = {'between keyframes': 0, 'cut at the edge': 0}
    by_file = defaultdict(list)
    for row in rows:
        by_file[row.file].append(row)
    kept = []
    print(f'placing boxes, {args.box_unit}s of the frame'
          if args.box_unit == 'share' else 'placing boxes, in pixels',
          flush=True)
    for file in track_iter_progress(sorted(by_file)):
        entry = index[file]
        by_frame = defaultdict(list)
        for row in by_file[file]:
            try:
                frame = _frame_of(row, time, args.frame_base, entry)
                counts['cut at the edge'] += _to_shares(args, row, entry)
            except BadRow as e:
                bad.add(row.line, e)
                continue
            by_frame[frame].append(row)
        picked = nearest_frames(by_frame, entry, args.keyframe_rate,
                                args.tolerance)
        for timestamp, frame in picked.items():
            for row in by_frame[frame]:
                row.timestamp = timestamp
                kept.append(row)
        counts['between keyframes'] += sum(
            len(x) for frame, x in by_frame.items()
            if frame not in picked.values())
    print()
    return kept, counts


def _frame_of(row: Box, time: str, base: int, entry: dict) -> int:
    """Number of a row's frame, from 0."""
    frame = round(row.time * (entry['fps'] if time == 'time' else 1))
    if frame >= entry['num_frames']:
        last = entry['num_frames'] - 1
        end = (f'{last / entry["fps"]:.3f} s' if time == 'time' else
               f'number {last + base}')
        value = row.time if time == 'time' else int(row.time) + base
        raise BadRow(
            'after the end', f'{time}={value:g} lies after the last frame of '
            f'{row.file}, {end} ({entry["num_frames"]} frames, '
            f'{entry["fps"]:g} a second); was the table made from another '
            'version of the video?')
    return frame


def _to_shares(args, row: Box, entry: dict) -> bool:
    """Turns a box into shares; tells whether it was cut at the edge."""
    size = (entry['width'], entry['height']) * 2
    in_pixels = [
        x if args.box_unit == 'pixel' else x * n
        for x, n in zip(row.box, size)
    ]
    over = max(-min(in_pixels), *(x - n for x, n in zip(in_pixels, size)))
    # Half a millionth of the frame is the rounding of the output.
    if over > args.max_overshoot + max(size) * 1e-6:
        raise BadRow(
            'outside the frame', 'x1, y1, x2, y2 = '
            f'{", ".join(f"{x:g}" for x in row.box)} ({args.box_unit}) '
            f'reaches {over:.4g} pixels over the edge of the {size[0]}x'
            f'{size[1]} frame of {row.file}, at most {args.max_overshoot:g} '
            'are allowed; see --box-unit, --max-overshoot')
    share = [
        round(min(max(x / n, 0), 1), DIGITS) for x, n in zip(in_pixels, size)
    ]
    if share[2] <= share[0] or share[3] <= share[1]:
        raise BadRow(
            'empty box', 'x1, y1, x2, y2 = '
            f'{", ".join(f"{x:g}" for x in row.box)} ({args.box_unit}) leaves '
            f'nothing inside the {size[0]}x{size[1]} frame of {row.file}; see '
            '--box-unit')
    row.box = share
    return over > max(size) * 1e-6


def nearest_frames(by_frame, entry: dict, rate: int,
                   tolerance: float) -> dict[int, int]:
    """Finds the frame with boxes that is nearest to every keyframe.

    Args:
        by_frame (Collection[int]): Numbers of the frames with boxes.
        entry (dict): Entry of the video in the index.
        rate (int): Keyframes per second.
        tolerance (float): Largest distance in seconds; the frame that the
            keyframe falls on is always near enough.

    Returns:
        dict[int, int]: Frame by timestamp, ascending.
    """
    best: dict[int, tuple[float, int]] = {}
    for frame in sorted(by_frame):
        # Of no other keyframe the frame could be nearer.
        near = round(frame / entry['fps'] * rate)
        center = round(near / rate * entry['fps'])
        away = abs(frame - center)
        if (center >= entry['num_frames']
                or away > tolerance * entry['fps'] + 1e-6):
            continue
        if near not in best or away < best[near][0]:
            best[near] = (away, frame)
    return {near: best[near][1] for near in sorted(best)}


def read_label_map(path: str) -> dict[int, str]:
    """Names by id, from a text file or a .pbtxt."""
    if not osp.isfile(path):
        raise TableError(f'--label-map {path} does not exist')
    if path.endswith('.pbtxt'):
        try:
            found = read_ava_label_map(path)
        except ValueError as e:
            raise TableError(f'--label-map {e}') from e
    else:
        with open(path, encoding='utf-8-sig') as f:
            names = [x.strip() for x in f if x.strip()]
        found = dict(enumerate(names, start=1))
    if not found:
        raise TableError(f'--label-map {path} names no action')
    twice = [x for x, n in Counter(found.values()).items() if n > 1]
    if twice:
        raise TableError(f'--label-map {path} names {first_names(twice)} '
                         'more than once')
    return found


def set_labels(args, rows: list[Box], bad: BadRows) -> dict[int, str]:
    """Sets ``ids`` of the rows; returns the names by id."""
    used = {x for row in rows for x in row.labels}
    if not used:
        raise TableError(
            f'{args.table} labels no box; the column label must hold names '
            'or ids, several joined by ";"')
    are_ids = all(_is_int(x) for x in used)
    names = read_label_map(args.label_map) if args.label_map else None
    if names is None and not are_ids:
        if len(used) > 1 and any(_is_int(x) for x in used):
            number = next(x for x in sorted(used) if _is_int(x))
            print(f'labels are taken as names, {number!r} among them')
        names = dict(enumerate(sorted(used), start=1))
    shift = 1 - args.label_base
    by_name = {name: number for number, name in (names or {}).items()}
    for row in rows:
        try:
            row.ids = sorted({
                _label_id(x, by_name, names, shift, are_ids)
                for x in row.labels
            })
        except BadRow as e:
            bad.add(row.line, e)
            row.timestamp = -1
    if names is None:
        names = {
            number: f'action {number}'
            for number in {x for row in rows for x in row.ids}
        }
    wrong = [x for x in names.values() if '"' in x or '\\' in x]
    if wrong:
        raise TableError(f'label {wrong[0]!r} holds a quote or backslash, '
                         'which label maps cannot carry; rename it')
    return dict(sorted(names.items()))


def _is_int(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _label_id(text: str, by_name: dict, names: Optional[dict], shift: int,
              are_ids: bool) -> int:
    if text in by_name:
        return by_name[text]
    if not are_ids or not _is_int(text):
        raise BadRow(
            'unknown label', f'label={text!r} is not in the label map, which '
            f'has {first_names(by_name)}; mend one of them')
    number = int(text) + shift
    if number < 1:
        raise BadRow(
            'unknown label', f'label={text} must be at least 1, as AVA form '
            'keeps 0 for the background; say --label-base 0 if ids count '
            'from 0')
    if names is not None and number not in names:
        raise BadRow(
            'unknown label', f'label={text} (id {number}) is not in the '
            f'label map, whose ids are {min(names)} to {max(names)}')
    return number


def set_splits(args, rows: list[Box], has_split: bool) -> None:
    """Sets ``split`` of the rows, so that no video stands on both sides."""
    if has_split:
        sides = defaultdict(set)
        for row in rows:
            sides[row.file].add(row.split)
        both = sorted(x for x, found in sides.items() if len(found) > 1)
        if both:
            raise TableError(
                f'{args.table}: rows of {first_names(both)} are in train and '
                'in val; a video must be on one side')
        return
    groups = merge_groups(rows)
    pool = [
        {'source_group': groups[row.file], 'label': label}
        for row in rows for label in row.ids or [0]
    ]
    _, val = split_groups(pool, args.val_share, random.Random(args.seed))
    chosen = {x['source_group'] for x in val}
    if not chosen or len(chosen) == len(set(groups.values())):
        raise TableError(
            f'{len(groups)} video(s) in {len(set(groups.values()))} group(s) '
            f'cannot be split with --val-share {args.val_share:g}; raise it, '
            'or give the table a column split with train and val')
    for row in rows:
        row.split = 'val' if groups[row.file] in chosen else 'train'


def merge_groups(rows: list[Box]) -> dict[str, str]:
    """Names a group for every video; videos that share a group share it."""
    parent: dict[str, str] = {}

    def root(x: str) -> str:
        while parent.setdefault(x, x) != x:
            x = parent[x]
        return x

    for row in rows:
        if row.group:
            parent[root(f'video {row.file}')] = root(f'group {row.group}')
    return {row.file: root(f'video {row.file}') for row in rows}


def annotation_lines(rows: list[Box], ids: dict[str, str]) -> list[str]:
    """Writes the labelled boxes as lines of an AVA table."""
    persons = person_numbers(rows)
    lines = {}
    for row in rows:
        where = ','.join([ids[row.file], str(row.timestamp), box_text(row)])
        for action in row.ids:
            key = (ids[row.file], row.timestamp, row.line, action)
            lines[f'{where},{action}'] = (
                key, persons[row.file].get(row.person, -1))
    return [
        f'{line},{person}' for line, (_, person) in sorted(
            lines.items(), key=lambda item: item[1][0])
    ]


def person_numbers(rows: list[Box]) -> dict[str, dict[str, int]]:
    """Numbers the persons of every video; numbers stay as they are."""
    names = defaultdict(dict)
    for row in rows:
        if row.person:
            names[row.file].setdefault(row.person, len(names[row.file]))
        else:
            names[row.file].setdefault('', -1)
    for file, found in names.items():
        if all(_is_int(x) for x in found if x):
            names[file] = {x: int(x) if x else -1 for x in found}
    return names


def box_text(row: Box) -> str:
    """The coordinates of a box as the tables write them."""
    return ','.join(f'{x:.{DIGITS}f}' for x in row.box)


def proposals(rows: list[Box], ids: dict[str, str]) -> dict[str, np.ndarray]:
    """Lists all boxes by keyframe, the best score first; twins count once."""
    found = defaultdict(dict)
    for row in rows:
        boxes = found[ids[row.file], row.timestamp]
        box = tuple(row.box)
        boxes[box] = max(boxes.get(box, 0), row.score)
    return {
        f'{video},{timestamp:04d}': np.array(
            [(*box, score) for box, score in sorted(
                boxes.items(), key=lambda item: -item[1])], np.float32)
        for (video, timestamp), boxes in sorted(found.items())
    }


def write_set(args, rows: list[Box], index: dict, names: dict[int, str],
              ids: dict[str, str]) -> None:
    """Writes the files of the data set."""
    mmengine.mkdir_or_exist(args.out)
    for split in SPLITS:
        part = [row for row in rows if row.split == split]
        with open(osp.join(args.out, f'{split}.csv'), 'w') as f:
            f.writelines(f'{x}\n' for x in annotation_lines(part, ids))
        mmengine.dump(
            proposals(part, ids),
            osp.join(args.out, f'proposals_{split}.pkl'))
    write_label_map(osp.join(args.out, 'label_map.pbtxt'), names)
    used = sorted({row.file for row in rows})
    write_video_index({x: index[x] for x in used},
                      osp.join(args.out, 'index.json'))


def summary(args, rows: list[Box], names: dict[int, str], num_rows: int,
            counts: dict[str, int]) -> str:
    """Says what the set holds and how to use it."""
    part = {s: [row for row in rows if row.split == s] for s in SPLITS}
    lines = [
        f'{num_rows} usable rows: {len(rows)} at keyframes ('
        f'{args.keyframe_rate} a second), {counts["between keyframes"]} '
        f'between keyframes left out; {counts["cut at the edge"]} box(es) '
        'cut at the edge of the frame'
    ]
    same = len(rows) - len({(row.file, row.timestamp, *row.box, *row.ids)
                            for row in rows})
    if same:
        lines.append(f'{same} row(s) say what another says and count once')
    lines.append('')
    table = [['', *SPLITS]]
    for label, count in (
        ('videos', lambda x: len({row.file for row in x})),
        ('keyframes with boxes',
         lambda x: len({(row.file, row.timestamp) for row in x})),
        ('boxes',
         lambda x: len({(row.file, row.timestamp, *row.box) for row in x})),
        ('boxes without label',
         lambda x: sum(not row.ids for row in x))):
        table.append([label, *(str(count(part[s])) for s in SPLITS)])
    per_class = {s: Counter(i for row in part[s] for i in row.ids)
                 for s in SPLITS}
    for number, name in sorted(names.items()):
        table.append([f'{number} {name}',
                      *(str(per_class[s][number]) for s in SPLITS)])
    wide = max(len(row[0]) for row in table)
    lines += [f'{a:{wide}}  {b:>8}  {c:>8}' for a, b, c in table] + ['']
    for split in SPLITS:
        absent = [n for k, n in sorted(names.items())
                  if not per_class[split][k]]
        if absent:
            lines.append(f'no {split} box of {first_names(absent)}')
    low = min(row.score for row in rows)
    if low < 0.9:
        lines.append(f'scores go down to {low:g}: person_det_score_thr (0.9 '
                     'by default) drops proposals below it')
    labelled = {row.file for row in rows if row.ids}
    blank = sorted({row.file for row in rows} - labelled)
    if blank:
        lines.append(f'{len(blank)} video(s) without any labelled box will '
                     f'not be used: {first_names(blank)}')
    root = osp.normpath(args.out)
    # Every action up to the highest id has a column, and the background.
    return '\n'.join(lines + [
        '', 'Lines for your config:', '',
        f'num_classes = {max(names) + 1}',
        f'anno_root = {root!r}',
        'data = dict(',
        f'    data_prefix=dict(video={osp.normpath(args.video_root)!r}),',
        f"    index_file={osp.join(root, 'index.json')!r},",
        '    timestamp_start=0,',
        '    timestamp_end=None,',
        f'    keyframe_rate={args.keyframe_rate})'
    ])


def make_ava_style(args) -> list[Box]:
    """Makes the data set; returns its rows."""
    bad = BadRows(args.table)
    rows, time = read_table(args, bad)
    has_split = any(row.split for row in rows)
    rows, ids = match_videos(args, rows, bad)
    if rows and args.box_unit == 'auto':
        args.box_unit = decide_unit(rows, args.table)
        print(f'--box-unit auto: {args.box_unit}, as the largest coordinate '
              f'is {max(max(row.box) for row in rows):g}')
    elif rows and args.box_unit == 'pixel' and max(
            max(row.box) for row in rows) <= 1:
        raise TableError(
            f'{args.table}: with --box-unit pixel no coordinate is above 1 '
            'pixel; these are shares: --box-unit share')
    if args.bad_rows == 'error':
        # Before the videos are read, which takes its time.
        bad.stop_or_report('error')
    if not rows:
        bad.stop_or_report(args.bad_rows)
        raise TableError(f'{args.table} holds no usable row')
    index = probe_videos(args, sorted({row.file for row in rows}))
    placed, counts = place_boxes(args, rows, time, index, bad)
    num_placed = len(placed)
    names = set_labels(args, rows, bad)
    placed = [row for row in placed if row.timestamp >= 0]
    bad.stop_or_report(args.bad_rows)
    if not any(row.ids for row in placed):
        raise TableError(
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
    except TableError as e:
        sys.exit(str(e))


if __name__ == '__main__':
    main()
