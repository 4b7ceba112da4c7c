# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads the annotations of Charades, as they are published."""
import logging
import math
import re
from typing import NamedTuple, Optional

import numpy as np
from mmengine.logging import print_log

from .table import (
    check_choice,
    data_error,
    first_names,
    read_table,
    to_numbers,
)

#: Names of the classes, in the download of the annotations.
CLASS_FILE = 'Charades_v1_classes.txt'
#: Number of classes of Charades, c000 to c156.
NUM_CLASSES = 157
#: Seconds by which an action may end after its video: in the official lists
#: half of the actions that last to the end do, by up to 1.54 s.
TIME_TOLERANCE = 2.
_COLUMNS = ('id', 'actions', 'length')
_CLASS = re.compile(r'c(\d{3})', re.ASCII)
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
    check_choice('reversed_times', reversed_times, ('keep', 'skip', 'error'))
    remedy = ('take an official list, such as Charades_v1_train.csv of '
              f'Charades.zip, or name the columns {",".join(_COLUMNS)}')
    table = read_table(
        ann_file, 'unpack Charades.zip of the Charades annotations, and check '
        'ann_file, and data_root, which a relative ann_file is joined to'
    ).with_header(_COLUMNS, remedy)
    if not len(table):
        raise data_error(ann_file, 'it holds no video', remedy)
    videos: list[CharadesVideo] = []
    first: dict[str, int] = {}
    reader = _Reader(num_classes, reversed_times, time_tolerance)
    lengths = table.numbers('length')
    for row, (name, actions) in enumerate(zip(table['id'], table['actions'])):
        where = table.where(row)
        if not name:
            raise data_error(where, 'the id is empty', 'name the video as its '
                             'file, without suffix')
        if name in first:
            raise data_error(
                where, f'video {name!r} is listed before, on line '
                f'{table.lines[first[name]]}', 'list a video once, with all '
                'its actions')
        if not 0 < lengths[row] < math.inf:
            raise data_error(
                where, f'length {table["length"][row]!r} of video {name!r} is '
                'no number of seconds above 0', 'correct it')
        first[name] = row
        videos.append(reader.read(name, lengths[row], actions, where))
    if reader.reversed:
        did = 'left out' if reversed_times == 'skip' else \
            'kept as actions of the video that no clip shows'
        print_log(
            f'{ann_file}: {len(reader.reversed)} actions end before they '
            f'start, {did}: {first_names(reader.reversed)}',
            logger='current',
            level=logging.WARNING)
    return videos


class _Reader:
    """Reads actions and keeps what was odd."""

    def __init__(self, num_classes: int, reversed_times: str,
                 time_tolerance: float) -> None:
        self.num_classes = num_classes
        self.reversed_times = reversed_times
        self.time_tolerance = time_tolerance
        self.reversed: list[str] = []

    def read(self, name: str, length: float, actions: str,
             where: str) -> CharadesVideo:
        classes, times = [], []
        for text in filter(None, map(str.strip, actions.split(';'))):
            label, span = self.action(
                text, length, f'{where}: action {text!r} of video {name!r}')
            if span is None:
                self.reversed.append(f'{text} of {name}')
                if self.reversed_times == 'skip':
                    continue
                span = (math.nan, math.nan)
            classes.append(label)
            times.append(span)
        return CharadesVideo(name, float(length), np.asarray(
            classes, np.int64), np.asarray(times, np.float64).reshape(-1, 2))

    def action(self, text: str, length: float, where: str
               ) -> tuple[int, Optional[tuple[float, float]]]:
        """Class and times, None if the times are reversed."""
        name, *span = text.split()
        match = _CLASS.fullmatch(name)
        start, end = to_numbers(span).tolist() if len(span) == 2 else (
            math.nan, math.nan)
        if match is None or not math.isfinite(start + end):
            raise data_error(where, 'it is malformed', 'actions must read '
                             f'{_FORM}, joined by semicolons')
        label = int(match[1])
        if label >= self.num_classes:
            raise data_error(
                where, f'with num_classes={self.num_classes} classes go from '
                f'c000 to c{self.num_classes - 1:03}', 'correct the row, or '
                'raise num_classes, in the model too')
        if min(start, end) < 0:
            raise data_error(where, 'it has a negative time', 'correct the '
                             'row; times count from the start')
        if end < start:
            if self.reversed_times == 'error':
                raise data_error(
                    where, 'it ends before it starts', 'correct the row, or '
                    "allow it by reversed_times='keep' or 'skip'")
            return label, None
        if end > length + self.time_tolerance:
            raise data_error(
                where, f'it ends {end - length:.2f} s after the video, which '
                f'lasts {length:g} s; {self.time_tolerance:g} s are allowed',
                'correct the row, or raise time_tolerance')
        return label, (start, end)
