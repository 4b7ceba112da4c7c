# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The files of an AVA evaluation: boxes, label map, excluded timestamps."""
from __future__ import annotations

import csv
import io
import logging
import re
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from mmengine.fileio import get_local_path, get_text, put_text
from mmengine.logging import print_log

# A keyframe: name of the video and timestamp.
Key = tuple[str, int]

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ITEM = re.compile(rf'\b(?:label|item)\s*\{{((?:{_QUOTED}|[^{{}}"])*)\}}')
_NAME = re.compile(rf'\bname:\s*({_QUOTED})')
_ID = re.compile(r'\b(?:label_id|id):\s*(\d+)')


class ActionBoxes(NamedTuple):
    """Boxes with one action each, R rows on K keyframes.

    A box with three actions has three rows.

    Attributes:
        keys (list[tuple[str, int]]): Video and timestamp of the keyframes,
            each once and in order. Some may have no row.
        images (np.ndarray): Number of the row's keyframe in ``keys``, int64
            of shape (R, ).
        boxes (np.ndarray): x1, y1, x2, y2 as shares of the image's width and
            height, of shape (R, 4).
        labels (np.ndarray): Ids of the actions, int64 of shape (R, ).
        scores (np.ndarray): Of shape (R, ); ones for a ground truth.
    """
    keys: list[Key]
    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def image_key(video: str, timestamp: int) -> str:
    """The name of a keyframe in AVA's files, e.g. ``'1j20qq1JyX4,0902'``."""
    return f'{video},{timestamp:04d}'


def read_ava_csv(path: str,
                 has_scores: bool = False,
                 bad_rows: str = 'error') -> ActionBoxes:
    """Read a ground truth or the results of a model.

    Rows are ``video,timestamp,x1,y1,x2,y2,action_id`` and, as an eighth
    column, the score in results; the number of a person may stand there in
    a ground truth and is not used. A row of a ground truth that ends after
    the timestamp, or has nothing in the other columns, is a keyframe without
    a box.

    Args:
        path (str): Path or URL of the CSV file.
        has_scores (bool): Whether these are results. Their boxes and scores
            are float32, what a model gives; those of a ground truth float64.
            Defaults to False.
        bad_rows (str): What to do with rows that cannot be read or whose box
            is none: 'error', or 'skip' to leave them out with a warning that
            counts them. Defaults to 'error'.

    Returns:
        ActionBoxes: The rows in the order of the file.

    Raises:
        ValueError: If there is a bad row, unless they are skipped, or a
            ground truth has no good one.
    """
    if bad_rows not in ('error', 'skip'):
        raise ValueError(
            f"bad_rows must be 'error' or 'skip', but is {bad_rows!r}.")
    widths = (8, ) if has_scores else (7, 8)
    # Numbers only: millions of lists would keep the garbage collector busy.
    number: dict[tuple[str, str], int] = {}
    images, labels, values = array('q'), array('q'), array('d')
    problems, num_rows = [], 0
    for line, row in _rows(path):
        num_rows += 1
        try:
            if len(row) not in widths and (has_scores or len(row) != 2):
                raise ValueError(f'{len(row)} columns')
            key = row[0], row[1]
            if key not in number:
                _integer(row[1])
            if has_scores or any(row[2:7]):
                label, box = int(row[6]), [float(x) for x in row[2:6]]
                _check_box(box, has_scores)
                box.append(float(row[7]) if has_scores else 1.)
                labels.append(label)
                values.extend(box)
                images.append(number.setdefault(key, len(number)))
            else:
                number.setdefault(key, len(number))
        except ValueError as e:
            problems.append(f'line {line}, {",".join(row)!r}: {e}')
    if problems:
        told = (f'{len(problems)} of {num_rows} rows of {path} are bad: '
                f'{"; ".join(problems[:3])}')
        if bad_rows == 'error':
            raise ValueError(
                f'{told}. Rows must be video,timestamp,x1,y1,x2,y2,action_id' +
                (',score' if has_scores else '[,person_id]') + ' with boxes '
                "as shares of the image's width and height, from 0 to 1, and "
                'without a line of headings.')
        print_log(
            f'{told}. They are left out.',
            logger='current',
            level=logging.WARNING)
    if not number and not has_scores:
        raise ValueError(f'The annotation file {path} has no row to evaluate '
                         'against.')
    keys = [(video, _integer(time)) for video, time in number]
    unique = sorted(set(keys))
    rank = {key: i for i, key in enumerate(unique)}
    ranks = np.array([rank[key] for key in keys], dtype=np.int64)
    table = np.array(values, dtype=np.float64).reshape(-1, 5)
    if has_scores:
        table = table.astype(np.float32)
    return ActionBoxes(unique, ranks[np.array(images, dtype=np.int64)],
                       table[:, :4], np.array(labels, dtype=np.int64),
                       table[:, 4])


def read_exclusions(path: str) -> set[Key]:
    """Read the keyframes that an evaluation leaves out.

    Args:
        path (str): Path or URL of a CSV file of ``video,timestamp``.

    Returns:
        set[tuple[str, int]]: The keyframes.

    Raises:
        ValueError: If a row cannot be read.
    """
    keys = set()
    for line, row in _rows(path):
        try:
            video, timestamp = row
            keys.add((video, _integer(timestamp)))
        except ValueError as e:
            raise ValueError(f'{path}, line {line}: a row of excluded '
                             'timestamps must be video,timestamp, but is '
                             f'{",".join(row)!r}.') from e
    return keys


def read_label_map(path: str) -> dict[int, str]:
    """Read the names of classes in either form of AVA's action lists.

    Args:
        path (str): Path or URL of a .pbtxt file with entries
            ``label { name: "..." label_id: 1 }`` or
            ``item { name: "..." id: 1 }``.

    Returns:
        dict[int, str]: Names by id, in the order of ids.

    Raises:
        ValueError: If there is no entry, or one lacks its name or id, or has
            an id that is below 1 or comes twice.
    """
    names: dict[int, str] = {}
    for item in _ITEM.findall(get_text(path)):
        name, number = _NAME.search(item), _ID.search(item)
        if name is None or number is None:
            raise ValueError(f'{path}: an entry of the label map lacks its '
                             f'name or id: {" ".join(item.split())!r}.')
        class_id = int(number[1])
        if class_id < 1 or class_id in names:
            raise ValueError(
                f'{path}: id {class_id} of the label map ' +
                ('comes twice.' if class_id else 'must be at least 1.'))
        names[class_id] = re.sub(r'\\(.)', r'\1', name[1][1:-1])
    if not names:
        raise ValueError(
            f'{path} has no entry like item {{ name: "stand" id: 12 }}. It '
            "must be an action list in AVA's .pbtxt form.")
    return {i: names[i] for i in sorted(names)}


def write_label_map(path: str, names: Mapping[int, str]) -> None:
    """Write the names of classes in the form of AVA's action lists.

    Args:
        path (str): Path or URL of the .pbtxt file. Folders are made.
        names (Mapping[int, str]): Names by id, from 1.
    """
    put_text(
        ''.join(f'item {{\n  name: "{_escape(name)}"\n  id: {number}\n}}\n'
                for number, name in names.items()), path)


def _escape(name: str) -> str:
    return re.sub(r'(["\\])', r'\\\1', name)


def write_results_csv(path: str, found: ActionBoxes) -> None:
    """Write results for an evaluator of AVA.

    Numbers have as many digits as float32 needs, so that
    :func:`read_ava_csv` gives back the same ones.

    Args:
        path (str): Path or URL of the CSV file. Folders are made.
        found (ActionBoxes): What to write, in this order.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    names = [(video, f'{time:04d}') for video, time in found.keys]
    boxes = np.asarray(found.boxes, dtype=np.float32)
    # The rows of one box follow one another; its text is made once.
    fresh = np.ones(len(boxes), dtype=bool)
    fresh[1:] = (boxes[1:] != boxes[:-1]).any(1) | (
        found.images[1:] != found.images[:-1])
    start = ()
    for is_fresh, image, box, label, score in zip(
            fresh.tolist(), found.images.tolist(), boxes,
            found.labels.tolist(), found.scores.astype(np.float32)):
        if is_fresh:
            start = (*names[image], *map(str, box))
        writer.writerow((*start, label, str(score)))
    put_text(text.getvalue(), path)


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of its line."""
    with get_local_path(path) as local, open(
            local, encoding='utf-8-sig', newline='') as file:
        reader = csv.reader(file)
        for row in reader:
            if row:
                yield reader.line_num, [x.strip() for x in row]


def _integer(text: str) -> int:
    """The value of '902', '0902' or '902.0'."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(f'timestamp {text} is no whole number')
    return int(value)


def _check_box(box: list[float], is_found: bool) -> None:
    """Refuse a box that no evaluation can have meant."""
    # A comparison with NaN is false.
    if not all(-2 <= x <= 2 for x in box):
        raise ValueError('the box is not in shares of the image')
    if not is_found and (box[0] > box[2] or box[1] > box[3]):
        raise ValueError('x1 <= x2 and y1 <= y2 must hold')
