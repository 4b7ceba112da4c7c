# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads the annotations of Charades, as they are published."""
import math
import re
from typing import NamedTuple

import numpy as np

from ..messages import check_choice, data_error, first_names, warn
from .table import read_table, to_numbers

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
    """A video and what happens in it, in A actions.

    ``length`` is in seconds; ``classes`` is int64 (A, ); ``times`` are start
    and end in seconds, float64 (A, 2), NaN for an action that ends before it
    starts.
    """
    video_id: str
    length: float
    classes: np.ndarray
    times: np.ndarray


def read_charades(
        ann_file: str, num_classes: int = NUM_CLASSES,
        reversed_times: str = 'keep',
        time_tolerance: float = TIME_TOLERANCE) -> list[CharadesVideo]:
    """Reads ``Charades_v1_train.csv`` or ``Charades_v1_test.csv``.

    Only the columns ``id``, ``actions`` and ``length`` are used. The official
    training list has 7 actions that end before they start; the log counts
    them.

    Args:
        ann_file (str): The CSV file.
        num_classes (int): Number of classes. Defaults to 157.
        reversed_times (str): What to do with actions that end before they
            start: ``'keep'`` (the class is one of the video's, but no clip
            shows it), ``'skip'`` or ``'error'``. Defaults to ``'keep'``.
        time_tolerance (float): Seconds by which actions may end after their
            video. Defaults to 2: times and lengths were rounded.
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
    odd: list[str] = []
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
        found = []
        for text in filter(None, map(str.strip, actions.split(';'))):
            action = _read_action(
                text, num_classes, lengths[row] + time_tolerance,
                f'{where}: action {text!r} of video {name!r}')
            if math.isnan(action[1]):
                odd.append(f'{text} of {name}')
                if reversed_times == 'error':
                    raise data_error(
                        f'{where}: action {text!r} of video {name!r}',
                        'it ends before it starts', 'correct the row, or '
                        "allow it by reversed_times='keep' or 'skip'")
                if reversed_times == 'skip':
                    continue
            found.append(action)
        columns = np.asarray(found, np.float64).reshape(-1, 3)
        videos.append(CharadesVideo(name, float(lengths[row]), columns[:, 0]
                                    .astype(np.int64), columns[:, 1:]))
    if odd:
        did = 'left out' if reversed_times == 'skip' else \
            'kept as actions of the video that no clip shows'
        warn(f'{ann_file}: {len(odd)} actions end before they start, {did}: '
             f'{first_names(odd)}')
    return videos


def _read_action(text: str, num_classes: int, latest: float,
                 where: str) -> tuple[int, float, float]:
    """Class, start and end, NaN if the times are reversed."""
    name, *span = text.split()
    match = _CLASS.fullmatch(name)
    start, end = to_numbers(span).tolist() if len(span) == 2 else (
        math.nan, math.nan)
    if match is None or not math.isfinite(start + end):
        raise data_error(where, 'it is malformed', 'actions must read '
                         f'{_FORM}, joined by semicolons')
    label = int(match[1])
    if label >= num_classes:
        raise data_error(
            where, f'with num_classes={num_classes} classes go from c000 to '
            f'c{num_classes - 1:03}', 'correct the row, or raise num_classes, '
            'in the model too')
    if min(start, end) < 0:
        raise data_error(where, 'it has a negative time', 'correct the row; '
                         'times count from the start')
    if end < start:
        return label, math.nan, math.nan
    if end > latest:
        raise data_error(
            where, f'it ends at {end:g} s, but at most {latest:g} s are '
            'allowed, the length of the video and time_tolerance',
            'correct the row, or raise time_tolerance')
    return label, start, end
