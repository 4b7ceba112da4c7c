# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What make_ava_style.py writes, and its summary."""
import os.path as osp
from collections import Counter, defaultdict

import numpy as np
from ava_set_rows import DIGITS, is_int
from box_table import SPLITS, Box

from mmaction_memvit.annotations.ava import write_rows
from mmaction_memvit.annotations.class_names import write_label_map
from mmaction_memvit.annotations.proposals import write_proposals
from mmaction_memvit.annotations.table import first_names
from mmaction_memvit.messages import text_table
from mmaction_memvit.video.index import load_video_index, write_video_index


def annotation_rows(rows: list[Box], ids: dict[str, str]) -> list[tuple]:
    """The labelled boxes as rows of an AVA table, each once."""
    persons = person_numbers(rows)
    found = {}
    for row in sorted(rows, key=lambda row: (ids[row.file], row.timestamp,
                                             row.row)):
        box = [f'{x:.{DIGITS}f}' for x in row.box]
        for action in row.ids:
            found[(ids[row.file], row.timestamp, *box, action)] = (
                persons[row.file].get(row.person, -1))
    return [(*row, person) for row, person in found.items()]


def person_numbers(rows: list[Box]) -> dict[str, dict[str, int]]:
    """Numbers the persons of every video; numbers stay as they are."""
    names = defaultdict(dict)
    for row in rows:
        if row.person:
            names[row.file].setdefault(row.person, len(names[row.file]))
        else:
            names[row.file].setdefault('', -1)
    for file, found in names.items():
        if all(is_int(x) for x in found if x):
            names[file] = {x: int(x) if x else -1 for x in found}
    return names


def proposals(rows: list[Box], ids: dict[str, str]) -> dict[tuple, np.ndarray]:
    """Lists all boxes by keyframe, the best score first; twins count once."""
    found = defaultdict(dict)
    for row in rows:
        boxes = found[ids[row.file], row.timestamp]
        box = tuple(row.box)
        boxes[box] = max(boxes.get(box, 0), row.score)
    return {
        key: np.array(
            [(*box, score) for box, score in sorted(
                boxes.items(), key=lambda item: -item[1])], np.float32)
        for key, boxes in found.items()
    }


def write_set(args, rows: list[Box], index: dict, names: dict[int, str],
              ids: dict[str, str]) -> None:
    """Writes the files of the data set."""
    for split in SPLITS:
        part = [row for row in rows if row.split == split]
        write_rows(
            osp.join(args.out, f'{split}.csv'), annotation_rows(part, ids))
        write_proposals(
            osp.join(args.out, f'proposals_{split}.pkl'),
            proposals(part, ids))
    write_label_map(osp.join(args.out, 'label_map.pbtxt'), names)
    used = sorted({row.file for row in rows})
    path = osp.join(args.out, 'index.json')
    # Of other videos it is kept: another list may need them.
    known = load_video_index(path) if osp.exists(path) else {}
    write_video_index({**known, **{x: index[x] for x in used}}, path)


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
    lines += [text_table(table), '']
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
        f'data_root = {root!r}',
        f'video_folder = {osp.normpath(args.video_root)!r}',
        f'keyframe_rate = {args.keyframe_rate}'
    ])
