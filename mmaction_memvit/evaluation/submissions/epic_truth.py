# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What predictions on EPIC-KITCHENS-100 are measured against."""
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from mmaction_memvit.annotations.epic import (
    NUM_NOUNS,
    NUM_VERBS,
    read_epic_segments,
)
from mmaction_memvit.annotations.epic_lists import (
    load_epic_actions,
    read_epic_participants,
    read_epic_tail,
)

from ..functional.epic_anticipation import evaluate_epic_anticipation
from ..functional.epic_recognition import TASKS, evaluate_epic_recognition
from ..functional.text_table import text_table

#: Challenges by the name that stands in a submission.
CHALLENGES = {
    'action_recognition': evaluate_epic_recognition,
    'action_anticipation': evaluate_epic_anticipation,
}
_SUBSETS = ('', 'unseen', 'tail')


class EpicTruth:
    """Segments with their labels and subsets.

    Args:
        ann_file (str): List of segments, see :mod:`~.epic`. Lists
            without labels, such as of the test set, can be scored but not
            measured.
        tail_verbs (str, optional): ``EPIC_100_tail_verbs.csv``. Defaults to
            None: tail classes are not measured.
        tail_nouns (str, optional): ``EPIC_100_tail_nouns.csv``; given if and
            only if ``tail_verbs`` is. Defaults to None.
        unseen_participants (str, optional):
            ``EPIC_100_unseen_participant_ids_validation.csv``. Defaults to
            None: unseen participants are not measured.
        actions (str | Sequence[str], optional): ``actions.csv``, or the
            lists of segments of training and validation set. Needed only for
            scores of an action head. Defaults to None.
        num_verbs (int): Number of verb classes. Defaults to 97.
        num_nouns (int): Number of noun classes. Defaults to 300.
        data_root (str): Folder that relative paths start from. Defaults to
            ''.
        ann_options (dict, optional): Further options of
            ``read_epic_segments``. Defaults to None.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file has another form.
    """

    def __init__(self,
                 ann_file: str,
                 tail_verbs: Optional[str] = None,
                 tail_nouns: Optional[str] = None,
                 unseen_participants: Optional[str] = None,
                 actions: Union[str, Sequence[str], None] = None,
                 num_verbs: int = NUM_VERBS,
                 num_nouns: int = NUM_NOUNS,
                 data_root: str = '',
                 ann_options: Optional[dict] = None) -> None:
        if (tail_verbs is None) != (tail_nouns is None):
            raise ValueError(
                f'tail_verbs={tail_verbs!r} and tail_nouns={tail_nouns!r}: '
                'an action is in the tail if its verb or its noun is, so '
                'give both lists or none')

        def path(name: str) -> str:
            return osp.join(data_root, name)

        options = dict(
            num_verbs=num_verbs, num_nouns=num_nouns, **(ann_options or {}))
        self.num_classes = {'verb': num_verbs, 'noun': num_nouns}
        self.actions = None
        if actions is not None:
            names = ([path(actions)] if isinstance(actions, str) else
                     list(map(path, actions)))
            self.actions = load_epic_actions(
                names[0] if len(names) == 1 else names, **options)
            self.num_classes['action'] = len(self.actions)
        self.segments = read_epic_segments(
            path(ann_file), actions=self.actions, **options)
        self.unseen = None
        if unseen_participants is not None:
            self.unseen = self.segments.is_unseen(
                read_epic_participants(path(unseen_participants)))
        self.tail = None
        if tail_verbs is not None:
            self.tail = self.segments.is_tail(
                read_epic_tail(path(tail_verbs), num_verbs),
                read_epic_tail(path(tail_nouns), num_nouns))

    def measure(self,
                challenge: str,
                scores: Mapping[str, np.ndarray],
                rows: Optional[np.ndarray] = None,
                **options: Any) -> dict[str, float]:
        """Measure predictions as the challenge does.

        Args:
            challenge (str): ``'action_recognition'`` or
                ``'action_anticipation'``.
            scores (Mapping[str, np.ndarray]): Logits by task, one row a
                segment, NaN where a segment could not be scored.
            rows (np.ndarray, optional): Rows of the table that the scores
                are of. Defaults to None: all.
            **options: Further options of the measure.

        Returns:
            dict[str, float]: Measures by name; none if the segments have no
            labels.

        Raises:
            ValueError: If scores do not fit the segments.
        """
        table = self.segments
        rows = np.arange(len(table)) if rows is None else np.asarray(rows)
        for task, array in scores.items():
            if len(array) != len(rows):
                raise ValueError(f'{len(array)} rows of {task} scores for '
                                 f'{len(rows)} segments')
        if not table.labelled:
            return {}
        labels = {'verb': table.verbs[rows], 'noun': table.nouns[rows],
                  'action': table.actions[rows]}
        unseen = None if self.unseen is None else self.unseen[rows]
        tail = None
        if self.tail is not None:
            tail = {task: mask[rows] for task, mask in self.tail.items()}
        return CHALLENGES[challenge](scores, labels, unseen, tail, **options)


def format_epic_table(measures: Mapping[str, float]) -> str:
    """Write measures as a table.

    Args:
        measures (Mapping[str, float]): As returned by
            :meth:`EpicTruth.measure`.

    Returns:
        str: A line a subset; per cent of every task and measure.
    """
    columns = []
    for task in TASKS:
        names = [name[len(task) + 1:] for name in measures
                 if name.startswith(f'{task}_')]
        columns += [(task, name) for name in names]
    lines = [['', *(f'{task} {name}' for task, name in columns)]]
    for subset in _SUBSETS:
        prefix = f'{subset}_' if subset else ''
        cells = [measures.get(f'{prefix}{task}_{name}')
                 for task, name in columns]
        if any(cell is not None for cell in cells):
            lines.append([subset or 'overall', *(
                '' if cell is None else f'{100 * cell:.2f}'
                for cell in cells)])
    return text_table(lines)
