# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads the annotations of Charades, as they are published."""
import csv
import io
import logging
import math
import re
from typing import NamedTuple, Optional

import numpy as np
from mmengine.fileio import exists, get_text
from mmengine.logging import print_log

from ..video.index import first_names

#: Names of the classes, in the download of the annotations.
CLASS_FILE = 'Charades_v1_classes.txt'
#: Number of classes of Charades, c000 to c156.
NUM_CLASSES = 157
#: Seconds by which an action may end after its video: in the official lists
#: half of the actions that last to the end do, by up to 1.54 s.
TIME_TOLERANCE = 2.
_COLUMNS = ('id', 'actions', 'length')
_CLASS = re.compile(r'c(\d{3})', re.ASCII)
_INDEXED = re.compile(r'c(\d{3})\s+(?=\S)', re.ASCII)
_FORM = "'c092 11.90 21.20;c147 0.00 12.60' (class, start and end in seconds)"


class CharadesVideo(NamedTuple):
    """A video and what happens in it.

    Args:
        video_id (str): Name of the video.
        length (float): Seconds.
        classes (np.ndarray): Class of every action, int64 of shape (A, ).
        times (np.ndarray): Start and end of every action in seconds, float64
            of shape (A, 2); NaN for one that ends before it starts.
    """
    video_id: str
    length: float
    classes: np.ndarray
    times: np.ndarray


def read_charades(ann_file: str,
                  num_classes: int = NUM_CLASSES,
                  reversed_times: str = 'keep',
                  time_tolerance: float = TIME_TOLERANCE
                  ) -> list[CharadesVideo]:
    """Reads ``Charades_v1_train.csv`` or ``Charades_v1_test.csv``.

    Only the columns ``id``, ``actions`` and ``length`` are used. A video
    without actions is one like any other.

    The official training list has 7 actions (of 4 videos) that end before
    they start, such as ``c113 38.00 13.00``. They are counted in the log.

    Args:
        ann_file (str): The CSV file.
        num_classes (int): Number of classes. Defaults to 157.
        reversed_times (str): What to do with actions that end before they
            start: ``'keep'`` (the class is one of the video's, but no clip
            shows it), ``'skip'`` or ``'error'``. Defaults to ``'keep'``.
        time_tolerance (float): Seconds by which actions may end after their
            video. Defaults to 2: times and lengths were rounded.

    Returns:
        list[CharadesVideo]: The videos, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, there is no video or one occurs
            twice, or a row cannot be understood. The message names file and
            line.
    """
    if reversed_times not in ('keep', 'skip', 'error'):
        raise ValueError(f'reversed_times={reversed_times!r} is unknown; it '
                         "must be 'keep', 'skip' or 'error'")
    if not ann_file or not exists(ann_file):
        raise FileNotFoundError(
            f'annotation file {ann_file!r} does not exist. Remedy: unpack '
            'Charades.zip of the Charades annotations, and check ann_file, '
            'and data_root, which a relative ann_file is joined to')
    rows = csv.reader(io.StringIO(get_text(ann_file).lstrip('\ufeff')))
    header = [cell.strip() for cell in next(rows, [])]
    absent = [name for name in _COLUMNS if name not in header]
    if absent:
        raise ValueError(
            f'{ann_file}:1: no column {", ".join(map(repr, absent))}; the '
            f'first line is {",".join(header)!r}. Remedy: take an official '
            f'list, such as Charades_v1_train.csv, or name the columns '
            f'{",".join(_COLUMNS)}')
    videos: list[CharadesVideo] = []
    lines: dict[str, int] = {}
    reader = _Row(num_classes, reversed_times, time_tolerance)
    for row in rows:
        if not row:
            continue
        where = f'{ann_file}:{rows.line_num}'
        if len(row) != len(header):
            raise ValueError(
                f'{where}: {len(row)} fields, but the header names '
                f'{len(header)}. Remedy: if the row is cut off or a quote '
                'not closed, take it from the official list anew; put fields '
                'with commas into double quotes')
        video = reader.read(dict(zip(header, row)), where)
        if video.video_id in lines:
            raise ValueError(
                f'{where}: video {video.video_id!r} is listed before, on '
                f'line {lines[video.video_id]}. Remedy: list a video once, '
                'with all its actions')
        lines[video.video_id] = rows.line_num
        videos.append(video)
    if not videos:
        raise ValueError(f'{ann_file} holds no video. Remedy: add rows '
                         f'{",".join(_COLUMNS)}')
    if reader.reversed:
        did = 'left out' if reversed_times == 'skip' else \
            'kept as actions of the video that no clip shows'
        print_log(
            f'{ann_file}: {len(reader.reversed)} actions end before they '
            f'start, {did}: {first_names(reader.reversed)}',
            logger='current',
            level=logging.WARNING)
    return videos


def read_class_names(path: str) -> list[str]:
    """Reads names of classes, one a line, as in Charades_v1_classes.txt.

    Numbers that all lines begin with (``c000 Holding some clothes``) are
    left out.

    Args:
        path (str): The file.

    Returns:
        list[str]: The names, in the order of the classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If all lines begin with numbers, and one is not that of
            its line, counted from c000.
    """
    if not path or not exists(path):
        raise FileNotFoundError(
            f'file of class names {path!r} does not exist. Remedy: unpack '
            f'{CLASS_FILE} of the official annotations (Charades.zip) there, '
            'or do without names by class_names=None')
    text = get_text(path).lstrip('\ufeff').rstrip()
    names = [line.strip() for line in text.splitlines()]
    numbers = [_INDEXED.match(name) for name in names]
    if None in numbers:
        return names
    for i, number in enumerate(numbers):
        if int(number[1]) != i:
            raise ValueError(
                f'{path}:{i + 1}: class c{number[1]} stands where c{i:03} '
                f'must. Remedy: order the lines by class, all of them, as in '
                f'{CLASS_FILE} of Charades.zip')
    return [name[number.end():] for name, number in zip(names, numbers)]


class _Row:
    """Reads rows and keeps what was odd."""

    def __init__(self, num_classes: int, reversed_times: str,
                 time_tolerance: float) -> None:
        self.num_classes = num_classes
        self.reversed_times = reversed_times
        self.time_tolerance = time_tolerance
        self.reversed: list[str] = []

    def read(self, row: dict[str, str], where: str) -> CharadesVideo:
        name = row['id'].strip()
        if not name:
            raise ValueError(f'{where}: the id is empty. Remedy: name the '
                             'video as its file, without suffix')
        length = _number(row['length'])
        if length is None or length <= 0:
            raise ValueError(
                f'{where}: length {row["length"]!r} of video {name!r} is no '
                'number of seconds above 0. Remedy: correct it')
        classes, times = [], []
        for text in filter(None, map(str.strip, row['actions'].split(';'))):
            action = self._action(text, length, f'{where}: action {text!r} '
                                  f'of video {name!r}')
            if action is None:
                self.reversed.append(f'{text} of {name}')
                if self.reversed_times == 'skip':
                    continue
                action = (int(text[1:4]), (math.nan, math.nan))
            classes.append(action[0])
            times.append(action[1])
        return CharadesVideo(name, length, np.asarray(classes, np.int64),
                             np.asarray(times, np.float64).reshape(-1, 2))

    def _action(self, text: str, length: float,
                where: str) -> Optional[tuple[int, tuple[float, float]]]:
        """Class and times, None if the times are reversed."""
        parts = text.split()
        start, end = map(_number, parts[1:]) if len(parts) == 3 else (None, 0)
        match = _CLASS.fullmatch(parts[0])
        if match is None or start is None or end is None:
            raise ValueError(f'{where} is malformed. Remedy: actions must '
                             f'read {_FORM}, joined by semicolons')
        label = int(match[1])
        if label >= self.num_classes:
            raise ValueError(
                f'{where} has class {parts[0]}, but with num_classes='
                f'{self.num_classes} classes go from c000 to '
                f'c{self.num_classes - 1:03}. Remedy: correct the row, or '
                'raise num_classes, in the model too')
        if start < 0 or end < 0:
            raise ValueError(f'{where} has a negative time. Remedy: correct '
                             'the row; times count from the start')
        if end < start:
            if self.reversed_times == 'error':
                raise ValueError(
                    f'{where} ends before it starts. Remedy: correct the '
                    "row, or allow it by reversed_times='keep' or 'skip'")
            return None
        if end > length + self.time_tolerance:
            raise ValueError(
                f'{where} ends {end - length:.2f} s after the video, which '
                f'lasts {length:g} s; {self.time_tolerance:g} s are allowed. '
                'Remedy: correct the row, or raise time_tolerance')
        return label, (start, end)


def _number(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
