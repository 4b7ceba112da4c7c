# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Steps of make_ava_style.py: boxes at keyframes, labels, splits."""
import random
from collections import Counter, defaultdict
from typing import Optional

from box_table import Box
from concat_videos import split_groups
from mmengine.utils import track_iter_progress

from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.annotations.table import (
    BadRow,
    BadRows,
    data_error,
    read_lines,
)
from mmaction_memvit.messages import first_names
from mmaction_memvit.video.frames import Clock

# Of the digits behind the point of a share: a thousandth of a pixel.
DIGITS = 6


def decide_unit(rows: list[Box], bad: BadRows) -> str:
    """Tells pixels from shares, or raises an error where that is unclear."""
    largest = max(rows, key=lambda row: max(row.box))
    top = max(largest.box)
    if top <= 1:
        return 'share'
    small = next((row for row in rows if max(row.box) <= 1), None)
    if top <= 2:
        raise data_error(
            bad.table.where(largest.row), f'the largest is {top:g}: '
            'shares that reach over the edge, or pixels?', 'say so by '
            '--box-unit share or --box-unit pixel')
    if small is not None:
        raise data_error(
            bad.table.where(small.row), 'all coordinates of this box are at '
            f'most 1, but {bad.table.where(largest.row)} has {top:g}: shares '
            'and pixels mixed up?', 'correct the table, or say --box-unit')
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
                bad.add(row.row, e)
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
    frame = (Clock(entry).nearest(row.time) if time == 'time' else
             round(row.time))
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
    clock = Clock(entry)
    for frame in sorted(by_frame):
        # Of no other keyframe the frame could be nearer.
        near = round(clock.seconds_at(frame) * rate)
        center = clock.nearest(near / rate)
        away = abs(frame - center)
        if (center >= entry['num_frames']
                or away > tolerance * entry['fps'] + 1e-6):
            continue
        if near not in best or away < best[near][0]:
            best[near] = (away, frame)
    return {near: best[near][1] for near in sorted(best)}


def set_labels(args, rows: list[Box], bad: BadRows) -> dict[int, str]:
    """Sets ``ids`` of the rows; returns the names by id."""
    used = {x for row in rows for x in row.labels}
    if not used:
        raise ValueError(
            f'{args.table} labels no box; the column label must hold names '
            'or ids, several joined by ";"')
    are_ids = all(is_int(x) for x in used)
    names = names_of(args.label_map) if args.label_map else None
    if names is None and not are_ids:
        if len(used) > 1 and any(is_int(x) for x in used):
            number = next(x for x in sorted(used) if is_int(x))
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
            bad.add(row.row, e)
            row.timestamp = -1
    if names is None:
        names = {
            number: f'action {number}'
            for number in {x for row in rows for x in row.ids}
        }
    wrong = [x for x in names.values() if '"' in x or '\\' in x]
    if wrong:
        raise ValueError(f'label {wrong[0]!r} holds a quote or backslash, '
                         'which label maps cannot carry; rename it')
    return dict(sorted(names.items()))


def is_int(text: str) -> bool:
    """Whether a text is a number of ASCII digits."""
    return text.isascii() and text.isdigit()


def _label_id(text: str, by_name: dict, names: Optional[dict], shift: int,
              are_ids: bool) -> int:
    if text in by_name:
        return by_name[text]
    if not are_ids or not is_int(text):
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
            raise ValueError(
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
        raise ValueError(
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


def names_of(path: str) -> dict[int, str]:
    """Names by id, from a text file or a .pbtxt."""
    if path.endswith('.pbtxt'):
        found = read_label_map(path)
    else:
        names = [x.strip() for x in read_lines(path) if x.strip()]
        found = dict(enumerate(names, start=1))
    if not found:
        raise ValueError(f'--label-map {path} names no action')
    twice = [x for x, n in Counter(found.values()).items() if n > 1]
    if twice:
        raise ValueError(f'--label-map {path} names {first_names(twice)} '
                         'more than once')
    return found
