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
import csv
import io
import logging
import os.path as osp
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Optional, Union

import numpy as np
from mmengine.fileio import exists, get, get_text
from mmengine.logging import print_log

#: Number of verb and noun classes of EPIC-KITCHENS-100.
NUM_VERBS, NUM_NOUNS = 97, 300

_TIME_COLUMNS = ('narration_id', 'video_id', 'start_timestamp',
                 'stop_timestamp')
_LABEL_COLUMNS = ('verb_class', 'noun_class')
_TIMESTAMP = re.compile(r'(\d+):([0-5]\d):([0-5]\d)(?:\.(\d+))?', re.ASCII)
_FRAMES_FORM = ('a list of frame numbers has no header and lines such as '
                "'P01_01_0,P01_01,4,101,3,3,2413' (narration_id, video_id, "
                'start, stop[, verb, noun[, action]])')
_FIRST = 3


class EpicVideo(NamedTuple):
    """What the video list says of a video.

    Args:
        duration (float): Seconds.
        fps (float): Frames per second.
        width (int): Pixels.
        height (int): Pixels.
    """
    duration: float
    fps: float
    width: int
    height: int


class EpicSegment(NamedTuple):
    """One annotated segment.

    Args:
        narration_id (str): Names the segment.
        video_id (str): Names its video.
        start (float): Start in seconds; NaN if it is not known.
        stop (float): Stop in seconds; NaN if it is not known.
        verb (int): Class of the verb; -1 if it is not annotated.
        noun (int): Class of the noun; -1 if it is not annotated.
        action (int): Number of the pair in :class:`EpicActions`; -1 if it is
            not known or not among them.
    """
    narration_id: str
    video_id: str
    start: float
    stop: float
    verb: int
    noun: int
    action: int


class EpicActions:
    """Actions, that is, pairs of verb and noun, and their numbers.

    Args:
        pairs (Iterable[tuple[int, int]]): Verb and noun of action 0, 1, ...
        names (Sequence[str], optional): Their names. Defaults to None:
            ``'verb,noun'`` in class numbers.

    Raises:
        ValueError: If there are no pairs, a pair occurs twice or has a
            negative number, or there are not as many names.
    """

    def __init__(self,
                 pairs: Iterable[tuple[int, int]],
                 names: Optional[Sequence[str]] = None) -> None:
        pairs = [(int(v), int(n)) for v, n in pairs]
        if not pairs:
            raise ValueError('there are 0 actions, at least 1 is needed; were '
                             'they built from a list without labels?')
        twice = [pair for pair, num in Counter(pairs).items() if num > 1]
        if twice:
            raise ValueError(f'the (verb, noun) pairs {twice[:_FIRST]} occur '
                             'more than once among the actions')
        #: np.ndarray: Verb and noun of every action, int64 (num_actions, 2).
        self.pairs = np.asarray(pairs, np.int64)
        if self.pairs.min() < 0:
            raise ValueError('classes of actions must not be negative, but '
                             f'{tuple(self.pairs.min(0))} are among them')
        if names is None:
            names = [f'{v},{n}' for v, n in pairs]
        if len(names) != len(pairs):
            raise ValueError(f'{len(names)} names for {len(pairs)} actions')
        #: tuple[str]: Name of every action.
        self.names = tuple(names)
        self._numbers = np.full(self.pairs.max(0) + 1, -1, np.int64)
        self._numbers[tuple(self.pairs.T)] = np.arange(len(pairs))

    def __len__(self) -> int:
        """Number of actions."""
        return len(self.pairs)

    def index(self, verb: np.ndarray, noun: np.ndarray) -> np.ndarray:
        """Numbers of actions.

        Args:
            verb (np.ndarray): Verb classes, of shape (N, ).
            noun (np.ndarray): Noun classes, of shape (N, ).

        Returns:
            np.ndarray: Numbers, int64 (N, ); -1 for pairs that are none of
            the actions and where a class is negative.
        """
        verb, noun = np.asarray(verb), np.asarray(noun)
        num_verbs, num_nouns = self._numbers.shape
        inside = ((verb >= 0) & (verb < num_verbs) & (noun >= 0)
                  & (noun < num_nouns))
        found = self._numbers[np.where(inside, verb, 0),
                              np.where(inside, noun, 0)]
        return np.where(inside, found, -1)


@dataclass(frozen=True, eq=False)
class EpicSegments:
    """Annotated segments as columns, one entry a segment.

    Args:
        narration_ids (tuple[str]): Names of the segments, all different.
        video_ids (tuple[str]): Their videos.
        participant_ids (tuple[str]): Who is filming.
        starts (np.ndarray): Seconds, float64 (N, ), NaN where not known.
        stops (np.ndarray): Seconds, float64 (N, ), NaN where not known.
        verbs (np.ndarray): Verb classes, int64 (N, ), -1: not annotated.
        nouns (np.ndarray): Noun classes, int64 (N, ), -1: not annotated.
        actions (np.ndarray): Numbers in :class:`EpicActions`, int64 (N, ),
            -1: not known.
        source (str): Where they come from, for messages.
        report (dict[str, int]): What was noticed while reading: ``'rows'``,
            ``'missing times'``, ``'zero length'``, ``'stop before start'``,
            ``'unknown video'`` (of these, some may have been left out) and
            ``'overlapping'``, the number of segments that start before an
            earlier one of their video has ended.
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

    def __getitem__(self, row: int) -> EpicSegment:
        """One segment."""
        return EpicSegment(self.narration_ids[row], self.video_ids[row],
                           float(self.starts[row]), float(self.stops[row]),
                           int(self.verbs[row]), int(self.nouns[row]),
                           int(self.actions[row]))

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
        """dict[str, np.ndarray]: Rows of every video in order of time.

        The order is by start, then stop, then row; segments without times
        come last. Videos are in the order in which they are first mentioned.
        """
        rows: dict[str, list[int]] = {}
        for row, video in enumerate(self.video_ids):
            rows.setdefault(video, []).append(row)
        return {
            video: np.asarray(group)[np.lexsort(
                (self.stops[group], self.starts[group]))]
            for video, group in rows.items()
        }

    def rows_of(self, video_id: str) -> np.ndarray:
        """Rows of a video in order of time; none for an unknown video."""
        return self.rows_by_video.get(video_id, np.zeros(0, np.int64))

    def is_unseen(self, participants: Iterable[str]) -> np.ndarray:
        """Which segments were filmed by one of the participants.

        Args:
            participants (Iterable[str]): Participants that are not in the
                training set, e.g. of :func:`read_epic_participants`.

        Returns:
            np.ndarray: Bools of shape (N, ).
        """
        participants = set(participants)
        return np.asarray([p in participants for p in self.participant_ids],
                          bool)

    def is_tail(self, tail_verbs: Sequence[int],
                tail_nouns: Sequence[int]) -> dict[str, np.ndarray]:
        """Which segments belong to rare classes.

        Args:
            tail_verbs (Sequence[int]): Rare verbs.
            tail_nouns (Sequence[int]): Rare nouns.

        Returns:
            dict[str, np.ndarray]: For ``'verb'``, ``'noun'`` and
            ``'action'`` bools of shape (N, ); an action is rare if its verb
            or its noun is.
        """
        verb = np.isin(self.verbs, np.asarray(tail_verbs, np.int64))
        noun = np.isin(self.nouns, np.asarray(tail_nouns, np.int64))
        return {'verb': verb, 'noun': noun, 'action': verb | noun}

    def counts(self, task: str, num_classes: int) -> np.ndarray:
        """How many segments every class has.

        Args:
            task (str): ``'verb'``, ``'noun'`` or ``'action'``.
            num_classes (int): Number of classes.

        Returns:
            np.ndarray: int64 (num_classes, ). Segments without a class count
            nowhere.
        """
        labels = getattr(self, f'{task}s')
        return np.bincount(labels[labels >= 0], minlength=num_classes)

    def select(self, rows: Union[np.ndarray, Sequence[int]]) -> 'EpicSegments':
        """A table of some of the segments.

        Args:
            rows (np.ndarray | Sequence[int]): Rows, or a bool for every row.

        Returns:
            EpicSegments: These segments, in this order.
        """
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        return EpicSegments(
            *(tuple(column[row] for row in rows)
              for column in (self.narration_ids, self.video_ids,
                             self.participant_ids)),
            *(column[rows]
              for column in (self.starts, self.stops, self.verbs, self.nouns,
                             self.actions)), self.source, dict(self.report))

    def with_actions(self, actions: EpicActions) -> 'EpicSegments':
        """The table with action numbers.

        Args:
            actions (EpicActions): The actions.

        Returns:
            EpicSegments: The same segments; pairs that are not among the
            actions get -1.

        Raises:
            ValueError: If the list had action numbers and they differ.
        """
        numbers = actions.index(self.verbs, self.nouns)
        wrong = np.flatnonzero((self.actions >= 0) & (self.actions != numbers))
        if len(wrong):
            row = wrong[0]
            raise ValueError(
                f'{self.source}: segment {self.narration_ids[row]!r} has '
                f'action {self.actions[row]}, but verb {self.verbs[row]} with '
                f'noun {self.nouns[row]} is action {numbers[row]}; '
                f'{len(wrong)} segments differ. Take the list of actions '
                'that belongs to this file')
        return EpicSegments(self.narration_ids, self.video_ids,
                            self.participant_ids, self.starts, self.stops,
                            self.verbs, self.nouns, numbers, self.source,
                            dict(self.report))


# -- times ------------------------------------------------------------------


def parse_timestamp(text: str) -> float:
    """Seconds of a time stamp.

    Args:
        text (str): ``HH:MM:SS`` with any number of decimals.

    Returns:
        float: The float next to the decimal number.

    Raises:
        ValueError: If the text has another form.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'time stamp {text!r} is not of the form '
                         "HH:MM:SS.ss, such as '00:01:02.50'")
    hours, minutes, seconds, decimals = match.groups('0')
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    # The number is read at once: a sum would round twice.
    return float(f'{whole}.{decimals}')


def segment_frames(start: float,
                   stop: float,
                   fps: float,
                   num_frames: Optional[int] = None) -> tuple[int, int]:
    """First and last frame of a segment, by the video's own rate.

    Frame i is shown from i / fps to (i + 1) / fps. All frames that share time
    with the segment belong to it, at least the one that is shown at its
    start. In frame folders, whose numbers start at 1, add 1.

    Args:
        start (float): Start in seconds.
        stop (float): Stop in seconds.
        fps (float): Frames per second.
        num_frames (int, optional): Frames of the video; segments are cut off
            there, and one that starts behind the end gets the last frame.
            Defaults to None.

    Returns:
        tuple[int, int]: First and last frame, from 0, both inclusive.

    Raises:
        ValueError: If a number is not finite or out of range.
    """
    if not (np.isfinite([start, stop, fps]).all() and 0 <= start <= stop
            and fps > 0):
        raise ValueError(f'start={start}, stop={stop} and fps={fps} must be '
                         'finite, with 0 <= start <= stop and fps > 0')
    if num_frames is not None and num_frames < 1:
        raise ValueError(f'num_frames={num_frames} must be at least 1')
    first = _floor(start * fps)
    last = max(first, -_floor(-stop * fps) - 1)
    if num_frames is not None:
        first, last = min(first, num_frames - 1), min(last, num_frames - 1)
    return first, last


def last_observed_frame(start: float, fps: float, tau_a: float = 1.) -> int:
    """Last frame that may be looked at to anticipate a segment.

    A frame may be looked at if it begins at ``start - tau_a`` or before.

    Args:
        start (float): Start of the segment in seconds.
        fps (float): Frames per second.
        tau_a (float): Seconds from the last observation to the segment.
            Defaults to 1.

    Returns:
        int: Frame from 0; -1 if the segment starts less than ``tau_a`` after
        the start of the video, so that there is nothing to observe.
    """
    return max(-1, _floor((start - tau_a) * fps))


def _floor(value: float) -> int:
    """Round down, but not what is a whole number up to rounding errors."""
    near = round(value)
    return near if abs(value - near) < 1e-6 else int(np.floor(value))


# -- segments ---------------------------------------------------------------


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
        path (str): CSV or PKL file in one of the forms of this module. PKL
            files are pandas pickles, which need pandas; as all pickles can
            run code, read them only from a source that you trust.
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
        ImportError: If a PKL file is to be read and pandas is not installed.
        ValueError: If a column is missing, a time or class cannot be read or
            is out of range, a narration id occurs twice, or an option says
            so. The message names file and segment.
    """
    for name, value, choices in (
        ('missing_times', missing_times, ('skip', 'keep', 'error')),
        ('zero_length', zero_length, ('keep', 'skip', 'error')),
        ('reversed_times', reversed_times, ('error', 'skip', 'swap')),
        ('unknown_video', unknown_video, ('error', 'skip')),
    ):
        if value not in choices:
            raise ValueError(f'{name}={value!r} is unknown; it must be one '
                             f'of {choices}')
    if not fps > 0:
        raise ValueError(f'fps={fps} must be above 0')
    name = osp.basename(path)
    header, rows = _read_rows(path)
    if header is None:
        columns = _frame_columns(name, rows, fps)
    else:
        columns = _official_columns(name, header, rows)
    table = _build(name, columns, num_verbs, num_nouns)
    table = _clean(table, videos, missing_times, zero_length, reversed_times,
                   unknown_video)
    return table if actions is None else table.with_actions(actions)


def _read_rows(path: str) -> tuple[Optional[list[str]], list[list[str]]]:
    """Header, None if there is none, and rows of text."""
    _check_exists(path)
    if path.lower().endswith(('.pkl', '.pickle')):
        return _read_pickle(path)
    rows = _csv_rows(path)
    if not rows:
        raise ValueError(f'{path!r} is empty')
    first = [cell.strip() for cell in rows[0]]
    # A row of numbers in third and fourth place is no header.
    if len(first) >= 4 and all(map(_is_number, first[2:4])):
        return None, rows
    return first, rows[1:]


def _csv_rows(path: str) -> list[list[str]]:
    text = get_text(path).lstrip('\ufeff')
    return [row for row in csv.reader(io.StringIO(text)) if row]


def _check_exists(path: str) -> None:
    if not exists(path):
        raise FileNotFoundError(
            f'{path!r} does not exist; the annotations are in the repository '
            'epic-kitchens-100-annotations of EPIC-KITCHENS')


def _read_pickle(path: str) -> tuple[list[str], list[list[str]]]:
    try:
        import pandas
    except ImportError as e:
        raise ImportError(
            f'{path!r} is a pandas pickle, and pandas is not installed. Take '
            'the CSV file of the same name, which holds the same, or install '
            'pandas') from e
    # reset_index: the official files have the narration id as index.
    frame = pandas.read_pickle(io.BytesIO(get(path))).reset_index()
    columns = [[_text(value) for value in frame[name]]
               for name in frame.columns]
    return [str(c) for c in frame.columns], [list(r) for r in zip(*columns)]


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
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _frame_columns(name: str, rows: list[list[str]], fps: float) -> dict:
    width = len(rows[0])
    if width not in (4, 6, 7) or any(len(row) != width for row in rows):
        number, row = next(((i, r) for i, r in enumerate(rows, 1)
                            if len(r) != width or width not in (4, 6, 7)))
        raise ValueError(f'{name}, row {number}: {len(row)} fields in '
                         f'{",".join(row)!r}; {_FRAMES_FORM}')
    columns = list(zip(*rows))
    out = {'narration_id': columns[0], 'video_id': columns[1]}
    for key, column in (('start', columns[2]), ('stop', columns[3])):
        out[key] = np.asarray([
            _frame_time(name, row, text, fps)
            for row, text in zip(columns[0], column)
        ])
    for key, column in zip(('verb', 'noun', 'action'), columns[4:]):
        out[key] = column
    return out


def _frame_time(name: str, row: str, text: str, fps: float) -> float:
    text = text.strip()
    if not text:
        return np.nan
    try:
        frame = float(text)
        if not frame >= 0 or np.isinf(frame):
            raise ValueError
    except ValueError:
        raise ValueError(f'{name}, segment {row!r}: frame {text!r} is not a '
                         f'number of at least 0; {_FRAMES_FORM}') from None
    return frame / fps


def _official_columns(name: str, header: list[str],
                      rows: list[list[str]]) -> dict:
    missing = [c for c in _TIME_COLUMNS if c not in header]
    labels = [c for c in _LABEL_COLUMNS if c in header]
    if len(labels) == 1:
        missing += [c for c in _LABEL_COLUMNS if c not in header]
    if missing:
        raise ValueError(
            f'{name} has no column {", ".join(map(repr, missing))}; its '
            f'columns are {", ".join(header)}. An official list has at least '
            f'{", ".join(_TIME_COLUMNS)} and, with labels, '
            f'{", ".join(_LABEL_COLUMNS)}; {_FRAMES_FORM}')
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f'{name}, row {number}: {len(row)} fields, but '
                             f'the header names {len(header)}')
    columns = {c: [row[i] for row in rows] for i, c in enumerate(header)}
    out = {'narration_id': columns['narration_id'],
           'video_id': columns['video_id']}
    if 'participant_id' in columns:
        out['participant_id'] = columns['participant_id']
    for key in ('start', 'stop'):
        out[key] = np.asarray([
            _official_time(name, row, text)
            for row, text in zip(out['narration_id'],
                                 columns[f'{key}_timestamp'])
        ], np.float64)
    for key, column in zip(('verb', 'noun'), _LABEL_COLUMNS):
        if column in columns:
            out[key] = columns[column]
    return out


def _official_time(name: str, row: str, text: str) -> float:
    if not text.strip():
        return np.nan
    try:
        return parse_timestamp(text)
    except ValueError as e:
        raise ValueError(f'{name}, segment {row!r}: {e}') from None


def _build(name: str, columns: dict, num_verbs: int,
           num_nouns: int) -> EpicSegments:
    ids = tuple(text.strip() for text in columns['narration_id'])
    if len(set(ids)) < len(ids):
        twice = [i for i, num in Counter(ids).items() if num > 1]
        raise ValueError(f'{name}: {len(twice)} narration ids occur more than '
                         f'once, such as {_some(twice)}; every segment needs '
                         'a name of its own')
    if '' in ids:
        raise ValueError(f'{name}: row {ids.index("") + 1} of the segments '
                         'has no narration id')
    videos = tuple(text.strip() for text in columns['video_id'])
    participants = columns.get('participant_id')
    if participants is None:
        participants = [video.split('_')[0] for video in videos]
    labels = {}
    for key, limit in (('verb', num_verbs), ('noun', num_nouns),
                       ('action', None)):
        labels[key] = _classes(name, key, columns.get(key), ids, limit)
    return EpicSegments(ids, videos, tuple(p.strip() for p in participants),
                        columns['start'], columns['stop'], labels['verb'],
                        labels['noun'], labels['action'], name)


def _classes(name: str, key: str, column: Optional[Sequence[str]],
             ids: tuple[str, ...], limit: Optional[int]) -> np.ndarray:
    if column is None:
        return np.full(len(ids), -1, np.int64)
    try:
        labels = np.asarray([int(text) for text in column], np.int64)
    except ValueError:
        row = next(i for i, text in enumerate(column)
                   if not re.fullmatch(r'\s*[+-]?\d+\s*', text))
        raise ValueError(f'{name}, segment {ids[row]!r}: {key} class '
                         f'{column[row]!r} is not a whole number') from None
    wrong = labels < 0
    if limit is not None:
        wrong |= labels >= limit
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        until = 'up' if limit is None else f'to {limit - 1}'
        raise ValueError(
            f'{name}, segment {ids[row]!r}: {key} class {labels[row]} is out '
            f'of range, classes go from 0 {until}. If the data set has more '
            f'classes, raise num_{key}s')
    return labels


def _clean(table: EpicSegments, videos: Optional[Mapping[str, Any]],
           missing_times: str, zero_length: str, reversed_times: str,
           unknown_video: str) -> EpicSegments:
    """Does with odd segments what the options say."""
    starts, stops = table.starts.copy(), table.stops.copy()
    known = np.asarray([videos is None or video in videos
                        for video in table.video_ids], bool)
    odd = {
        'unknown video': (~known, unknown_video, 'not in the video list'),
        'missing times': (np.isnan(starts) | np.isnan(stops), missing_times,
                          'without start or stop'),
        'zero length': (starts == stops, zero_length,
                        'stopping where they start'),
        'stop before start': (stops < starts, reversed_times,
                              'stopping before they start'),
    }
    keep = np.ones(len(table), bool)
    report = {'rows': len(table)}
    notes = []
    for what, (mask, option, text) in odd.items():
        rows = np.flatnonzero(mask)
        report[what] = len(rows)
        if not len(rows):
            continue
        if option == 'error':
            raise ValueError(_odd_message(table, what, text, rows))
        if option == 'skip':
            keep &= ~mask
        elif option == 'swap':
            starts[rows], stops[rows] = stops[rows], starts[rows]
        did = {'skip': 'left out', 'swap': 'start and stop exchanged',
               'keep': 'kept'}[option]
        names = _some([table.narration_ids[row] for row in rows])
        notes.append((f'{len(rows)} segments {text}, {did}: {names}',
                      logging.WARNING if option != 'keep' else logging.INFO))
    clean = EpicSegments(table.narration_ids, table.video_ids,
                         table.participant_ids, starts, stops, table.verbs,
                         table.nouns, table.actions, table.source, report)
    if not keep.all():
        clean = clean.select(keep)
    clean.report['overlapping'] = count_overlapping(clean)
    notes.append((f'{len(clean)} of {report["rows"]} segments, '
                  f'{len(clean.rows_by_video)} videos, '
                  f'{clean.report["overlapping"]} segments start before an '
                  'earlier one has ended', logging.INFO))
    for note, level in notes:
        print_log(f'{table.source}: {note}', logger='current', level=level)
    return clean


def _odd_message(table: EpicSegments, what: str, text: str,
                 rows: np.ndarray) -> str:
    row = rows[0]
    example = (f'{table.narration_ids[row]!r} (video '
               f'{table.video_ids[row]!r}, {table.starts[row]:g} s to '
               f'{table.stops[row]:g} s)')
    remedy = {
        'unknown video': 'complete the video list (EPIC_100_video_info.csv), '
                         "or leave them out by unknown_video='skip'",
        'missing times': "leave them out by missing_times='skip'",
        'zero length': "allow zero_length='keep' or 'skip'",
        'stop before start': 'correct them, or use '
                             "reversed_times='skip' or 'swap'",
    }[what]
    return (f'{table.source}: {len(rows)} segments {text}, the first is '
            f'{example}. Remedy: {remedy}')


def count_overlapping(table: EpicSegments) -> int:
    """How many segments start before an earlier one of the video has ended.

    Args:
        table (EpicSegments): The segments.

    Returns:
        int: The number of these segments.
    """
    num = 0
    for rows in table.rows_by_video.values():
        rows = rows[np.isfinite(table.starts[rows] + table.stops[rows])]
        ends = np.maximum.accumulate(table.stops[rows])
        num += int((table.starts[rows][1:] < ends[:-1]).sum())
    return num


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(repr(n) for n in names[:_FIRST])
    rest = len(names) - _FIRST
    return f'{shown} and {rest} more' if rest > 0 else shown


# -- class lists and the like -----------------------------------------------


def _read_dicts(path: str, columns: Sequence[str]) -> list[dict[str, str]]:
    _check_exists(path)
    rows = _csv_rows(path)
    header = [cell.strip() for cell in rows[0]] if rows else []
    missing = [c for c in columns if c not in header]
    if missing:
        raise ValueError(
            f'{osp.basename(path)} has no column '
            f'{", ".join(map(repr, missing))}; its first line is '
            f'{",".join(header)!r} and should name {", ".join(columns)}')
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise ValueError(f'{osp.basename(path)}, row {number}: {len(row)} '
                             f'fields, but the header names {len(header)}')
    return [dict(zip(header, row)) for row in rows[1:]]


def _numbers(path: str, key: str, values: Iterable[str],
             kind: type = int) -> list:
    try:
        return [kind(value) for value in values]
    except ValueError as e:
        raise ValueError(f'{osp.basename(path)}, column {key!r}: {e}') from e


def read_epic_classes(path: str) -> tuple[str, ...]:
    """Reads a list of classes, e.g. ``EPIC_100_verb_classes.csv``.

    Args:
        path (str): CSV file with columns ``id`` and ``key``.

    Returns:
        tuple[str]: Name of class 0, 1, ...

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing or ids are not 0, 1, 2, ...
    """
    rows = _read_dicts(path, ('id', 'key'))
    ids = _numbers(path, 'id', (row['id'] for row in rows))
    if not ids or sorted(ids) != list(range(len(ids))):
        absent = sorted(set(range(len(ids))) - set(ids))
        raise ValueError(f'{osp.basename(path)}: the ids of {len(ids)} '
                         f'classes must be 0 to {len(ids) - 1}, once each; '
                         f'{absent[:_FIRST]} are not there')
    names = {number: row['key'] for number, row in zip(ids, rows)}
    return tuple(names[number] for number in range(len(ids)))


def read_epic_tail(path: str, num_classes: Optional[int] = None) -> np.ndarray:
    """Reads a list of rare classes, e.g. ``EPIC_100_tail_verbs.csv``.

    Args:
        path (str): CSV file with one column, ``verb`` or ``noun``.
        num_classes (int, optional): Ids must be below it. Defaults to None:
            not checked.

    Returns:
        np.ndarray: Class ids, int64, ascending.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has another form or an id is out of range.
    """
    _check_exists(path)
    rows = _csv_rows(path)
    if not rows or len(rows[0]) != 1 or rows[0][0].strip() not in ('verb',
                                                                   'noun'):
        first = ','.join(rows[0]) if rows else ''
        raise ValueError(f'{osp.basename(path)} should have one column, '
                         f"'verb' or 'noun', but its first line is {first!r}")
    ids = np.unique(_numbers(path, rows[0][0], (row[0] for row in rows[1:])))
    if len(ids) and (ids[0] < 0 or num_classes is not None
                     and ids[-1] >= num_classes):
        raise ValueError(f'{osp.basename(path)}: classes {ids[0]} to '
                         f'{ids[-1]} must be within 0 to '
                         f'{(num_classes or ids[-1] + 1) - 1}')
    return ids.astype(np.int64)


def read_epic_participants(path: str) -> tuple[str, ...]:
    """Reads ``EPIC_100_unseen_participant_ids_validation.csv`` or the like.

    For validation labels take the list of the validation set, not of the
    test set.

    Args:
        path (str): CSV file with a column ``participant_id``.

    Returns:
        tuple[str]: The participants.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has another form.
    """
    rows = _read_dicts(path, ('participant_id', ))
    return tuple(row['participant_id'].strip() for row in rows)


def read_epic_video_info(path: str) -> dict[str, EpicVideo]:
    """Reads ``EPIC_100_video_info.csv``.

    Args:
        path (str): CSV file with columns ``video_id``, ``duration``, ``fps``
            and ``resolution``.

    Returns:
        dict[str, EpicVideo]: What is known of every video.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a number cannot be read or is not
            above 0, or a video occurs twice.
    """
    name = osp.basename(path)
    videos: dict[str, EpicVideo] = {}
    for row in _read_dicts(path,
                           ('video_id', 'duration', 'fps', 'resolution')):
        video = row['video_id'].strip()
        if video in videos:
            raise ValueError(f'{name}: video {video!r} is listed twice')
        try:
            width, height = map(int, row['resolution'].split('x'))
            info = EpicVideo(float(row['duration']), float(row['fps']), width,
                             height)
        except ValueError:
            info = EpicVideo(0, 0, 0, 0)
        if not (np.isfinite(info).all() and min(info) > 0):
            raise ValueError(
                f'{name}: video {video!r} has duration {row["duration"]!r}, '
                f'fps {row["fps"]!r} and resolution {row["resolution"]!r}; '
                "these must be above 0, such as '12.5', '59.94' and "
                "'1920x1080'")
        videos[video] = info
    return videos


def build_epic_actions(*tables: EpicSegments) -> EpicActions:
    """Actions that occur in lists of segments.

    Training and validation set together have the 3,806 actions of the
    challenges. They are numbered in the order of their text ``verb_noun``
    (10_3 comes before 1_3), which is the order of ``actions.csv``.

    Args:
        *tables (EpicSegments): Labelled segments.

    Returns:
        EpicActions: The actions.

    Raises:
        ValueError: If there are none.
    """
    pairs = set()
    for table in tables:
        pairs.update(zip(table.verbs.tolist(), table.nouns.tolist()))
    pairs = [pair for pair in pairs if min(pair) >= 0]
    return EpicActions(sorted(pairs, key=lambda pair: '{}_{}'.format(*pair)))


def read_epic_actions(path: str) -> EpicActions:
    """Reads ``actions.csv``.

    Args:
        path (str): CSV file with columns ``id``, ``verb``, ``noun`` and
            optionally ``action``, the name.

    Returns:
        EpicActions: The actions, numbered as in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, ids are not 0, 1, 2, ... or a
            pair occurs twice.
    """
    name = osp.basename(path)
    rows = _read_dicts(path, ('id', 'verb', 'noun'))
    columns = {key: _numbers(path, key, (row[key] for row in rows))
               for key in ('id', 'verb', 'noun')}
    if sorted(columns['id']) != list(range(len(rows))):
        raise ValueError(f'{name}: the ids of {len(rows)} actions must be 0 '
                         f'to {len(rows) - 1}, once each')
    order = np.argsort(columns['id'])
    names = None
    if rows and 'action' in rows[0]:
        names = [rows[row]['action'] for row in order]
    try:
        return EpicActions(
            ((columns['verb'][row], columns['noun'][row]) for row in order),
            names)
    except ValueError as e:
        raise ValueError(f'{name}: {e}') from e


def load_epic_actions(source: Union[str, Sequence[str]],
                      **options: Any) -> EpicActions:
    """Reads actions from ``actions.csv`` or builds them from segments.

    Args:
        source (str | Sequence[str]): ``actions.csv``, or the lists of
            segments of all splits with labels, usually training and
            validation.
        **options: Options of :func:`read_epic_segments`.

    Returns:
        EpicActions: The actions.
    """
    if isinstance(source, str):
        _check_exists(source)
        first = _csv_rows(source)[:1]
        if first and {'id', 'verb', 'noun'} <= {c.strip() for c in first[0]}:
            return read_epic_actions(source)
        source = [source]
    return build_epic_actions(
        *(read_epic_segments(path, **options) for path in source))
