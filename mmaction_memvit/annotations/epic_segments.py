# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Annotated segments of EPIC-KITCHENS-100 as columns."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Union

import numpy as np

from .epic_actions import EpicActions
from .table import data_error


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
        return replace(
            self,
            **{
                name: tuple(getattr(self, name)[row] for row in rows)
                for name in ('narration_ids', 'video_ids', 'participant_ids')
            },
            **{
                name: getattr(self, name)[rows]
                for name in ('starts', 'stops', 'verbs', 'nouns', 'actions')
            },
            report=dict(self.report))

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
            raise data_error(
                self.source, f'segment {self.narration_ids[row]!r} has action '
                f'{self.actions[row]}, but verb {self.verbs[row]} with noun '
                f'{self.nouns[row]} is action {numbers[row]}; {len(wrong)} '
                'segments differ', 'take the list of actions that belongs to '
                'this file')
        return replace(self, actions=numbers, report=dict(self.report))


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
