# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Annotated segments of EPIC-KITCHENS-100 as columns."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Union

import numpy as np

from ..messages import data_error
from .epic_actions import EpicActions


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
        """dict[str, np.ndarray]: Rows of every video in order of time.

        By start, then stop, then row, those without times last; videos are in
        the order in which they are first mentioned.
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

    def select(self, rows: Union[np.ndarray, Sequence[int]]) -> 'EpicSegments':
        """A table of some of the rows (numbers, or bools), in this order."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        columns = {x.name: getattr(self, x.name) for x in fields(self)[:8]}
        return replace(
            self, report=dict(self.report), **{
                name: column[rows] if isinstance(column, np.ndarray) else
                tuple(column[row] for row in rows)
                for name, column in columns.items()
            })

    def with_actions(self, actions: EpicActions) -> 'EpicSegments':
        """The table with action numbers; -1 for pairs that are none.

        It is an error if the list had action numbers and they differ.
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
    """How many segments start before an earlier one of the video has ended."""
    num = 0
    for rows in table.rows_by_video.values():
        rows = rows[np.isfinite(table.starts[rows] + table.stops[rows])]
        ends = np.maximum.accumulate(table.stops[rows])
        num += int((table.starts[rows][1:] < ends[:-1]).sum())
    return num
