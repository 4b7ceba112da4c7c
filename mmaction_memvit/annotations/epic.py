# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads the annotations of EPIC-KITCHENS-100.

Two forms of segment list are read, told apart by their first line:

- *official*: ``EPIC_100_train.csv``, ``EPIC_100_validation.csv``,
  ``EPIC_100_test_timestamps.csv`` or the PKL files of the same names. Times
  are ``HH:MM:SS.ss``. Their columns ``start_frame`` and ``stop_frame`` are
  not used: they count at 60 frames a second even for videos with 59.94, 29.97
  or 90, and drift away from the video.
- *frames*: no header, ``narration_id,video_id,start,stop[,verb,noun
  [,action]]``, start and stop in frames at one rate, 30 a second by default,
  for all videos.
"""
import logging
import os.path as osp
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

import numpy as np

from ..messages import check_choice, data_error, first_names, log
from .epic_actions import EpicActions
from .epic_segments import EpicSegments, count_overlapping
from .epic_times import parse_timestamp
from .pickles import read_pickle
from .table import Table, read_table, to_numbers

#: Number of verb and noun classes of EPIC-KITCHENS-100.
NUM_VERBS, NUM_NOUNS = 97, 300
#: Where the lists are from.
REMEDY = ('take the lists of the repository epic-kitchens-100-annotations of '
          'EPIC-KITCHENS')

_TIME_COLUMNS = ('narration_id', 'video_id', 'start_timestamp',
                 'stop_timestamp')
_LABEL_COLUMNS = ('verb_class', 'noun_class')
_FRAMES_FORM = ('a list of frame numbers has no header and lines such as '
                "'P01_01_0,P01_01,4,101,3,3,2413' (narration_id, video_id, "
                'start, stop[, verb, noun[, action]])')
# What may be done with odd segments, the default first, and the remedy.
_ODD = {
    'unknown video': (
        'unknown_video', ('error', 'skip'), 'not in the video list',
        'complete the video list (EPIC_100_video_info.csv), or leave them out '
        "by unknown_video='skip'"),
    'missing times': (
        'missing_times', ('skip', 'keep', 'error'), 'without start or stop',
        "leave them out by missing_times='skip'"),
    'zero length': (
        'zero_length', ('keep', 'skip', 'error'), 'stopping where they start',
        "allow zero_length='keep' or 'skip'"),
    'stop before start': (
        'reversed_times', ('error', 'skip', 'swap'),
        'stopping before they start',
        "correct them, or use reversed_times='skip' or 'swap'"),
}


def read_epic_segments(path: str,
                       fps: float = 30.,
                       num_verbs: int = NUM_VERBS,
                       num_nouns: int = NUM_NOUNS,
                       actions: Optional[EpicActions] = None,
                       videos: Optional[Mapping[str, Any]] = None,
                       missing_times: str = 'skip',
                       zero_length: str = 'keep',
                       reversed_times: str = 'error',
                       unknown_video: str = 'error') -> EpicSegments:
    """Reads a list of segments.

    What the options leave out is counted in ``report`` and logged, as is the
    number of overlapping segments.

    Args:
        path (str): CSV or PKL file in one of the forms of this module. No
            code in PKL files is run.
        fps (float): Rate that frame numbers count at, for lists without
            header. Defaults to 30.
        num_verbs (int): Verb classes must be below it. Defaults to 97.
        num_nouns (int): Noun classes must be below it. Defaults to 300.
        actions (EpicActions, optional): Gives the segments action numbers.
            Defaults to None.
        videos (Mapping, optional): By video id, e.g. of
            :func:`read_epic_video_info`, to check the videos against.
            Defaults to None: not checked.
        missing_times (str): Segments without start or stop: ``'skip'``,
            ``'keep'`` (with NaN) or ``'error'``. Defaults to ``'skip'``.
        zero_length (str): Segments that stop where they start: ``'keep'``,
            ``'skip'`` or ``'error'``. Defaults to ``'keep'``.
        reversed_times (str): Segments that stop before they start:
            ``'error'``, ``'skip'`` or ``'swap'`` (exchange start and stop).
            Defaults to ``'error'``.
        unknown_video (str): Segments whose video is not in ``videos``:
            ``'error'`` or ``'skip'``. Defaults to ``'error'``.

    Returns:
        EpicSegments: The segments in the order of the list.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a time or class cannot be read or
            is out of range, a narration id occurs twice, or an option says
            so. The message names file and segment.
    """
    policies = dict(missing_times=missing_times, zero_length=zero_length,
                    reversed_times=reversed_times, unknown_video=unknown_video)
    for option, choices, *_ in _ODD.values():
        check_choice(option, policies[option], choices)
    if not fps > 0:
        raise ValueError(f'fps={fps} must be above 0')
    table = read_segment_table(path)
    columns = (_official_columns(table) if table.header else
               _frame_columns(table, fps))
    segments = _build(table, columns, num_verbs, num_nouns)
    segments = _clean(segments, videos, policies)
    return segments if actions is None else segments.with_actions(actions)


def read_segment_table(path: str) -> Table:
    """Cells of a list, with the official columns if it has a header."""
    if path.lower().endswith(('.pkl', '.pickle')):
        return _table_of_pickle(path)
    table = read_table(path, REMEDY)
    if not len(table):
        raise data_error(path, 'it is empty', REMEDY)
    # A row of numbers in third and fourth place is no header.
    if np.isfinite(to_numbers([table[2][0], table[3][0]])).all():
        return table
    needed = _TIME_COLUMNS
    if any(table[k][0] in _LABEL_COLUMNS for k in range(len(table.cells))):
        needed += _LABEL_COLUMNS
    return table.with_header(
        needed, f'an official list has at least {", ".join(_TIME_COLUMNS)} '
        f'and, with labels, {", ".join(_LABEL_COLUMNS)}; {_FRAMES_FORM}')


def _table_of_pickle(path: str) -> Table:
    frame = read_pickle(path, 'take the CSV file of the same name, which '
                        'holds the same', is_table=True)
    if not hasattr(frame, 'reset_index'):
        raise data_error(path, f'it holds a {type(frame).__name__}, not a '
                         'table', REMEDY)
    # The official files have the narration id as index.
    frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    rows = len(frame) + 1
    table = Table(
        path, [[name, *map(_text, frame.iloc[:, k])]
               for k, name in enumerate(names)], np.arange(1, rows + 1),
        np.full(rows, len(names)))
    return table.with_header(_TIME_COLUMNS, REMEDY)


def _text(value: Any) -> str:
    """A value of a pandas table as it stands in the CSV."""
    if hasattr(value, 'total_seconds') and value == value:
        micro = round(value.total_seconds() * 1e6)
        seconds, micro = divmod(micro, 1000000)
        return (f'{seconds // 3600:02}:{seconds // 60 % 60:02}:'
                f'{seconds % 60:02}.{micro:06}')
    if hasattr(value, 'strftime') and value == value:
        return value.strftime('%H:%M:%S.%f')
    # None, NaN and NaT, which differ from themselves.
    missing = value is None or (not isinstance(value, (list, tuple))
                                and value != value)
    if missing:
        return ''
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _frame_columns(table: Table, fps: float) -> dict[str, Any]:
    width = table.widths[0]
    wrong = table.widths != (width if width in (4, 6, 7) else -1)
    if wrong.any():
        row = int(wrong.argmax())
        raise data_error(table.where(row), f'{table.widths[row]} fields',
                         _FRAMES_FORM)
    columns = {'narration_id': table[0], 'video_id': table[1]}
    for key, k in (('start', 2), ('stop', 3)):
        frames = table.numbers(k)
        wrong = ~(np.isfinite(frames) & (frames >= 0)) & table.filled(k)
        if wrong.any():
            row = int(wrong.argmax())
            raise data_error(
                table.where(row), f'segment {table[0][row]!r}: frame '
                f'{table[k][row]!r} is no number of at least 0', _FRAMES_FORM)
        columns[key] = frames / fps
    columns.update((key, k) for key, k in (('verb', 4), ('noun', 5),
                                           ('action', 6)) if k < width)
    return columns


def _official_columns(table: Table) -> dict[str, Any]:
    columns: dict[str, Any] = {
        'narration_id': table['narration_id'], 'video_id': table['video_id']}
    if 'participant_id' in table:
        columns['participant_id'] = table['participant_id']
    for key in ('start', 'stop'):
        times = columns[key] = np.full(len(table), np.nan)
        for row, text in enumerate(table[f'{key}_timestamp']):
            try:
                times[row] = parse_timestamp(text) if text else np.nan
            except ValueError as e:
                raise data_error(
                    table.where(row), f'segment {table["narration_id"][row]!r}'
                    f': {e}', 'correct the time') from None
    columns.update((key, f'{key}_class') for key in ('verb', 'noun')
                   if f'{key}_class' in table)
    return columns


def _build(table: Table, columns: Mapping[str, Any], num_verbs: int,
           num_nouns: int) -> EpicSegments:
    ids = tuple(columns['narration_id'])
    twice = [i for i, num in Counter(ids).items() if num > 1]
    if '' in ids or twice:
        row = ids.index('' if '' in ids else twice[0])
        raise data_error(
            table.where(row), 'no narration id' if '' in ids else
            f'{len(twice)} narration ids occur more than once, such as '
            f'{first_names(twice)}', 'give every segment a name of its own')
    videos = tuple(columns['video_id'])
    participants = columns.get('participant_id') or [
        video.split('_')[0] for video in videos]
    labels = [
        table.integers(
            columns[key], 0, limit, 'correct it, or if the data set has more '
            f'classes, raise num_{key}s') if key in columns else
        np.full(len(table), -1, np.int64)
        for key, limit in (('verb', num_verbs - 1), ('noun', num_nouns - 1),
                           ('action', None))
    ]
    return EpicSegments(ids, videos, tuple(participants), columns['start'],
                        columns['stop'], *labels, osp.basename(table.path))


def _clean(table: EpicSegments, videos: Optional[Mapping[str, Any]],
           policies: Mapping[str, str]) -> EpicSegments:
    """Does with odd segments what the options say."""
    starts, stops = table.starts.copy(), table.stops.copy()
    known = np.asarray([videos is None or video in videos
                        for video in table.video_ids], bool)
    masks = {
        'unknown video': ~known,
        'missing times': np.isnan(starts) | np.isnan(stops),
        'zero length': starts == stops,
        'stop before start': stops < starts,
    }
    keep = np.ones(len(table), bool)
    report = {'rows': len(table)}
    for what, (option, _, text, remedy) in _ODD.items():
        rows, policy = np.flatnonzero(masks[what]), policies[option]
        report[what] = len(rows)
        if not len(rows):
            continue
        if policy == 'error':
            row = rows[0]
            raise data_error(
                table.source, f'{len(rows)} segments {text}, the first is '
                f'{table.narration_ids[row]!r} (video '
                f'{table.video_ids[row]!r}, {table.starts[row]:g} s to '
                f'{table.stops[row]:g} s)', remedy)
        if policy == 'skip':
            keep[rows] = False
        elif policy == 'swap':
            starts[rows], stops[rows] = stops[rows], starts[rows]
        did = {'skip': 'left out', 'swap': 'start and stop exchanged',
               'keep': 'kept'}[policy]
        log(f'{table.source}: {len(rows)} segments {text}, {did}: '
            f'{first_names(table.narration_ids[row] for row in rows)}',
            logging.INFO if policy == 'keep' else logging.WARNING)
    clean = replace(table, starts=starts, stops=stops, report=report)
    clean = clean if keep.all() else clean.select(keep)
    clean.report['overlapping'] = count_overlapping(clean)
    log(f'{table.source}: {len(clean)} of {report["rows"]} segments, '
        f'{len(clean.rows_by_video)} videos, {clean.report["overlapping"]} '
        'segments start before an earlier one has ended')
    return clean
