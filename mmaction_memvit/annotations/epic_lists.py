# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Lists beside the segments of EPIC-KITCHENS-100.

Classes, rare classes, participants, videos and actions.
"""
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Union

import numpy as np

from ..messages import data_error, first_names
from .epic import REMEDY, EpicSegments, read_epic_segments
from .table import Table, read_table

# Rates at which the frames that can be downloaded were extracted, whatever
# the exact rate of the video.
NOMINAL_RATES = (60., 50.)


class EpicActions:
    """Actions: ``pairs`` of verb and noun, of action 0, 1, ...

    No pairs, and pairs that occur twice or are negative, are a ValueError.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        pairs = [(int(v), int(n)) for v, n in pairs]
        if not pairs:
            raise ValueError('there are 0 actions, at least 1 is needed; were '
                             'they built from a list without labels?')
        bad = [pair for pair, num in Counter(pairs).items()
               if num > 1 or min(pair) < 0]
        if bad:
            raise ValueError(f'the (verb, noun) pairs {first_names(bad)} are '
                             'negative, or occur twice among the actions')
        #: np.ndarray: Verb and noun of every action, int64 (num_actions, 2).
        self.pairs = np.asarray(pairs, np.int64)
        self._numbers = np.full(self.pairs.max(0) + 1, -1, np.int64)
        self._numbers[tuple(self.pairs.T)] = np.arange(len(pairs))

    def __len__(self) -> int:
        """Number of actions."""
        return len(self.pairs)

    def index(self, verb: np.ndarray, noun: np.ndarray) -> np.ndarray:
        """Numbers of actions, int64 (N, ), by verb and noun, both (N, ).

        Pairs that are none of the actions get -1, as do negative classes.
        """
        verb, noun = np.asarray(verb), np.asarray(noun)
        num_verbs, num_nouns = self._numbers.shape
        inside = ((verb >= 0) & (verb < num_verbs) & (noun >= 0)
                  & (noun < num_nouns))
        found = self._numbers[np.where(inside, verb, 0),
                              np.where(inside, noun, 0)]
        return np.where(inside, found, -1)

    def check_classes(self, num_verbs: int, num_nouns: int) -> None:
        """Raises a ValueError if an action has another verb or noun."""
        highest = tuple(self.pairs.max(0).tolist())
        if highest[0] >= num_verbs or highest[1] >= num_nouns:
            raise ValueError(
                f'actions have verbs and nouns up to {highest}, but there are '
                f'{num_verbs} verbs and {num_nouns} nouns; correct num_verbs '
                'and num_nouns, or take the list of actions of these classes')


def unlike_actions(pairs: Sequence[Sequence[int]],
                   others: Sequence[Sequence[int]]) -> str:
    """How two lists of (verb, noun) pairs differ, '' if they do not."""
    if len(pairs) != len(others):
        return f'{len(pairs)} actions, not {len(others)}'
    pairs, others = np.asarray(pairs), np.asarray(others)
    for i in np.flatnonzero((pairs != others).any(1))[:1]:
        return (f'action {i} is (verb, noun) {tuple(pairs[i].tolist())}, not '
                f'{tuple(others[i].tolist())}')
    return ''


class EpicVideo(NamedTuple):
    """What the video list says of a video; seconds and pixels."""
    duration: float
    fps: float
    width: int
    height: int

    def frame_rate(self, num_frames: int) -> float:
        """At which rate the frames of a folder were probably extracted.

        It is that of the video, 60 or 50, by which so many frames last most
        nearly as long as the video.
        """
        return min((self.fps, *NOMINAL_RATES),
                   key=lambda rate: abs(num_frames / rate - self.duration))


def _read(path: str, columns: Sequence[str]) -> Table:
    return read_table(path, REMEDY).with_header(columns, REMEDY)


def _order(table: Table) -> np.ndarray:
    """Rows by id; ids must be 0, 1, 2, ..."""
    ids = table.integers('id')
    if not len(ids) or sorted(ids) != list(range(len(ids))):
        absent = sorted(set(range(len(ids))) - set(ids.tolist()))
        raise data_error(
            table.path, f'the ids of {len(ids)} rows must be 0 to '
            f'{len(ids) - 1}, once each; {absent[:3]} are not there',
            'complete the list')
    return np.argsort(ids)


def read_epic_classes(path: str) -> tuple[str, ...]:
    """Names of classes 0, 1, ..., e.g. of ``EPIC_100_verb_classes.csv``.

    The CSV file has columns ``id`` and ``key``.
    """
    table = _read(path, ('id', 'key'))
    return tuple(table['key'][row] for row in _order(table))


def read_epic_tail(path: str, num_classes: float = np.inf) -> np.ndarray:
    """Rare classes, e.g. of ``EPIC_100_tail_verbs.csv``, int64, ascending.

    The CSV file has one column, ``verb`` or ``noun``, of ids below
    ``num_classes``.
    """
    table = read_table(path, REMEDY)
    name = table[0][0] if len(table) and len(table.cells) == 1 else None
    if name not in ('verb', 'noun'):
        first = [column[0] for column in table.cells if column]
        raise data_error(path, "it should have one column, 'verb' or 'noun', "
                         f'but its first line is {",".join(first)!r}', REMEDY)
    return np.unique(
        table.with_header((), REMEDY).integers(name, 0, num_classes - 1))


def read_epic_participants(path: str) -> tuple[str, ...]:
    """Column ``participant_id``, e.g. of the list of unseen participants.

    For validation labels take
    ``EPIC_100_unseen_participant_ids_validation.csv``, not the list of the
    test set.
    """
    return tuple(_read(path, ('participant_id', ))['participant_id'])


def read_epic_video_info(path: str) -> dict[str, EpicVideo]:
    """Reads ``EPIC_100_video_info.csv``.

    The columns ``video_id``, ``duration``, ``fps`` and ``resolution`` are
    read; numbers that are not above 0, and videos that occur twice, are
    errors.
    """
    names = ('video_id', 'duration', 'fps', 'resolution')
    table = _read(path, names)
    videos: dict[str, EpicVideo] = {}
    for row, (video, duration, fps, size) in enumerate(zip(
            *map(table.__getitem__, names))):
        if video in videos:
            raise data_error(table.where(row), f'video {video!r} is listed '
                             'twice', 'list it once')
        try:
            width, height = map(int, size.split('x'))
            info = EpicVideo(float(duration), float(fps), width, height)
        except ValueError:
            info = EpicVideo(0, 0, 0, 0)
        if not (np.isfinite(info).all() and min(info) > 0):
            raise data_error(
                table.where(row), f'video {video!r} has duration '
                f'{duration!r}, fps {fps!r} and resolution {size!r}; these '
                'must be above 0', "correct it, as in '12.5', '59.94', "
                "'1920x1080'")
        videos[video] = info
    return videos


def build_epic_actions(*tables: EpicSegments) -> EpicActions:
    """Actions that occur in labelled lists of segments.

    Training and validation set together have the 3,806 actions of the
    challenges. They are numbered in the order of their text ``verb_noun``
    (10_3 comes before 1_3), which is the order of RULSTM's ``actions.csv``,
    by which AVT and most others number them.
    """
    pairs = set()
    for table in tables:
        pairs.update(zip(table.verbs.tolist(), table.nouns.tolist()))
    pairs = [pair for pair in pairs if min(pair) >= 0]
    return EpicActions(sorted(pairs, key=lambda pair: '{}_{}'.format(*pair)))


def read_epic_actions(path: str) -> EpicActions:
    """Reads ``actions.csv``, with columns ``id``, ``verb``, ``noun``.

    It is an error if ids are not 0, 1, 2, ... or a pair occurs twice.
    """
    table = _read(path, ('id', 'verb', 'noun'))
    order = _order(table)
    verbs, nouns = (table.integers(name)[order] for name in ('verb', 'noun'))
    try:
        return EpicActions(zip(verbs, nouns))
    except ValueError as e:
        raise ValueError(f'{path}: {e}') from e


def load_epic_actions(source: Union[str, Sequence[str]],
                      **options: Any) -> EpicActions:
    """Reads actions from ``actions.csv``, or builds them from segments.

    These are lists of all splits with labels, usually training and
    validation, read with the ``options`` of :func:`read_epic_segments`. Data
    sets of a run share what is read; files that change are read anew.
    """
    paths = (source, ) if isinstance(source, str) else tuple(source)
    stamps = tuple(osp.getmtime(x) if osp.exists(x) else None for x in paths)
    return _load_epic_actions(paths, stamps, **options)


@lru_cache(maxsize=4)
def _load_epic_actions(paths: tuple, stamps: tuple,
                       **options: Any) -> EpicActions:
    if len(paths) == 1:
        first = [c[0] for c in read_table(paths[0], REMEDY).cells if c]
        if {'id', 'verb', 'noun'} <= set(first):
            return read_epic_actions(paths[0])
    return build_epic_actions(
        *(read_epic_segments(path, **options) for path in paths))
