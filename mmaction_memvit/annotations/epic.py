# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Segments of EPIC-KITCHENS-100.

Two forms of list are read, told apart by their first line:

- *official*: ``EPIC_100_train.csv``, ``EPIC_100_validation.csv`` or
  ``EPIC_100_test_timestamps.csv``. Times are ``HH:MM:SS.ss``. Their columns
  ``start_frame`` and ``stop_frame`` are not used: they count at 60 frames a
  second even for videos with 59.94, 29.97 or 90, and drift from the video.
- *frames*: no header, ``narration_id,video_id,start,stop[,verb,noun
  [,action]]``, start and stop in frames at one rate, 30 a second by default,
  for all videos.
"""
from __future__ import annotations

import logging
import os.path as osp
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..messages import (
    check_choice,
    data_error,
    first_names,
    log,
    warn_once,
)
from .table import Table, read_table, to_numbers

if TYPE_CHECKING:
    from .epic_lists import EpicActions

#: Number of verb and noun classes of EPIC-KITCHENS-100.
NUM_VERBS, NUM_NOUNS = 97, 300
#: Where the lists are from.
REMEDY = ('take the lists of the repository epic-kitchens-100-annotations of '
          'EPIC-KITCHENS')

_TIMESTAMP = re.compile(r'(\d+):([0-5]\d):([0-5]\d)(?:\.(\d+))?', re.ASCII)
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


@dataclass(frozen=True, eq=False)
class EpicSegments:
    """Annotated segments as columns, one entry a segment.

    Args:
        narration_ids (tuple[str]): Names of the segments, all different.
        video_ids (tuple[str]): Their videos.
        participant_ids (tuple[str]): Who is filming.
        starts (np.ndarray): Seconds, float64 (N, ), NaN where not known.
        stops (np.ndarray): Likewise.
        verbs (np.ndarray): Verb classes, int64 (N, ), -1: not annotated.
        nouns (np.ndarray): Noun classes, likewise.
        actions (np.ndarray): Numbers in :class:`EpicActions`, int64 (N, ), -1:
            not known.
        source (str): Where they come from, for messages.
        report (dict[str, int]): Counts of what was noticed while reading (of
            which some may have been left out), of all ``'rows'``, and of
            ``'overlapping'`` segments, which start before an earlier one of
            their video has ended.
    """
    narration_ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    participant_ids: tuple[str, ...]
    starts: np.ndarray
    stops: np.ndarray
    verbs: np.ndarray
    nouns: np.ndarray
    actions: np.ndarray
    source: str = ''
    report: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of segments."""
        return len(self.narration_ids)

    @property
    def labelled(self) -> bool:
        """bool: Whether every segment has a verb and a noun."""
        return bool((self.verbs >= 0).all() and (self.nouns >= 0).all())

    @cached_property
    def rows_by_id(self) -> dict[str, int]:
        """dict[str, int]: Row of every narration id."""
        return {name: row for row, name in enumerate(self.narration_ids)}

    @cached_property
    def rows_by_video(self) -> dict[str, np.ndarray]:
        """dict[str, np.ndarray]: Rows of every video, as first mentioned.

        By start, then stop, then row, those without times last.
        """
        order = np.lexsort((self.stops, self.starts))
        rows: dict[str, list[int]] = {video: [] for video in self.video_ids}
        for row in order.tolist():
            rows[self.video_ids[row]].append(row)
        return {video: np.asarray(group) for video, group in rows.items()}

    def rows_of(self, video_id: str) -> np.ndarray:
        """Rows of a video in order of time; none for an unknown video."""
        return self.rows_by_video.get(video_id, np.zeros(0, np.int64))

    def is_unseen(self, participants: Iterable[str]) -> np.ndarray:
        """Which segments one of the participants filmed, bools (N, )."""
        return np.isin(self.participant_ids, list(participants))

    def is_tail(self, tail_verbs: Sequence[int],
                tail_nouns: Sequence[int]) -> dict[str, np.ndarray]:
        """Which segments belong to rare classes, by task bools (N, ).

        An action is rare if its verb or its noun is.
        """
        verb = np.isin(self.verbs, np.asarray(tail_verbs, np.int64))
        noun = np.isin(self.nouns, np.asarray(tail_nouns, np.int64))
        return {'verb': verb, 'noun': noun, 'action': verb | noun}

    def counts(self, task: str, num_classes: int) -> np.ndarray:
        """Segments of every class of a task, int64 (num_classes, )."""
        labels = getattr(self, f'{task}s')
        return np.bincount(labels[labels >= 0], minlength=num_classes)

    def select(self, rows: np.ndarray | Sequence[int]) -> EpicSegments:
        """A table of some of the rows (numbers, or bools), in this order."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        columns = {x.name: getattr(self, x.name) for x in fields(self)[:8]}
        return replace(
            self, report=dict(self.report), **{
                name: column[rows] if isinstance(column, np.ndarray)
                else tuple(column[row] for row in rows)
                for name, column in columns.items()})

    def with_actions(self, actions: EpicActions) -> EpicSegments:
        """The table with action numbers; -1 for pairs that are none.

        These are told. It is an error if the list had action numbers and they
        differ.
        """
        numbers = actions.index(self.verbs, self.nouns)
        wrong = np.flatnonzero((self.actions >= 0) & (self.actions != numbers))
        if len(wrong):
            row = wrong[0]
            raise data_error(
                self.source, f'segment {self.narration_ids[row]!r} has action '
                f'{self.actions[row]}, but verb {self.verbs[row]} with noun '
                f'{self.nouns[row]} is action {numbers[row]}; {len(wrong)} '
                'segments differ', 'take the list of actions that belongs to '
                'this file')
        none = (numbers < 0) & (self.verbs >= 0) & (self.nouns >= 0)
        if none.any():
            names = np.asarray(self.narration_ids, object)[none]
            warn_once(
                f'{self.source}: {len(names)} of {len(self)} segments have a '
                f'verb and noun that are none of the {len(actions)} actions. '
                'Their actions are not learnt, and in tests count as missed: '
                f'{first_names(names)}')
        return replace(self, actions=numbers, report=dict(self.report))

    def count_overlapping(self) -> int:
        """Segments that start before an earlier one of the video has ended."""
        num = 0
        for rows in self.rows_by_video.values():
            rows = rows[np.isfinite(self.starts[rows] + self.stops[rows])]
            ends = np.maximum.accumulate(self.stops[rows])
            num += int((self.starts[rows][1:] < ends[:-1]).sum())
        return num


def parse_timestamp(text: str) -> float:
    """Seconds of ``HH:MM:SS`` with any number of decimals.

    It is the float next to the decimal number; another form is a ValueError.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'time stamp {text!r} is not of the form '
                         "HH:MM:SS.ss, such as '00:01:02.50'")
    hours, minutes, seconds, decimals = match.groups('0')
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    # The number is read at once: a sum would round twice.
    return float(f'{whole}.{decimals}')


def read_epic_segments(
        path: str, fps: float = 30., num_verbs: int = NUM_VERBS,
        num_nouns: int = NUM_NOUNS, videos: Mapping[str, Any] | None = None,
        missing_times: str = 'skip', zero_length: str = 'keep',
        reversed_times: str = 'error',
        unknown_video: str = 'error') -> EpicSegments:
    """Reads a list of segments, in the order of the list.

    What the options leave out is counted in ``report`` and logged, as is the
    number of overlapping segments.

    Args:
        path (str): CSV file in one of the forms of this module.
        fps (float): Rate that frame numbers count at, for lists without
            header. Defaults to 30.
        num_verbs (int): Verb classes must be below it. Defaults to 97.
        num_nouns (int): Noun classes must be below it. Defaults to 300.
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
    """
    policies = dict(missing_times=missing_times, zero_length=zero_length,
                    reversed_times=reversed_times, unknown_video=unknown_video)
    for option, choices, *_ in _ODD.values():
        check_choice(option, policies[option], choices)
    table = read_segment_table(path)
    columns = (_official_columns(table) if table.header else
               _frame_columns(table, fps))
    segments = _build(table, columns, num_verbs, num_nouns)
    return _clean(segments, videos, policies)


def read_segment_table(path: str) -> Table:
    """Cells of a list, with the official columns if it has a header."""
    if path.lower().endswith(('.pkl', '.pickle')):
        raise data_error(path, 'lists are CSV files', 'take that of the same '
                         'name, which holds the same')
    table = read_table(path, REMEDY)
    if not len(table):
        raise data_error(path, 'it is empty', REMEDY)
    # A row of numbers in third and fourth place is no header.
    if np.isfinite(to_numbers([table[2][0], table[3][0]])).all():
        return table
    needed = _TIME_COLUMNS
    if any(column[0] in _LABEL_COLUMNS for column in table.cells):
        needed += _LABEL_COLUMNS
    return table.with_header(
        needed, f'an official list has at least {", ".join(_TIME_COLUMNS)} '
        f'and, with labels, {", ".join(_LABEL_COLUMNS)}; {_FRAMES_FORM}')


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
        name: table[name] for name in ('narration_id', 'video_id',
                                       'participant_id') if name in table}
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
                           ('action', np.inf))]
    return EpicSegments(ids, videos, tuple(participants), columns['start'],
                        columns['stop'], *labels, osp.basename(table.path))


def _clean(table: EpicSegments, videos: Mapping[str, Any] | None,
           policies: Mapping[str, str]) -> EpicSegments:
    """Does with odd segments what the options say."""
    starts, stops = table.starts.copy(), table.stops.copy()
    masks = {
        'unknown video': np.asarray([videos is not None and video not in videos
                                     for video in table.video_ids], bool),
        'missing times': np.isnan(starts) | np.isnan(stops),
        'zero length': starts == stops,
        'stop before start': stops < starts}
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
    clean = replace(table, starts=starts, stops=stops,
                    report=report).select(keep)
    clean.report['overlapping'] = num = clean.count_overlapping()
    log(f'{table.source}: {len(clean)} of {report["rows"]} segments, '
        f'{len(clean.rows_by_video)} videos, {num} segments start before an '
        'earlier one has ended')
    return clean
