# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What predictions on EPIC-KITCHENS-100 are measured against."""
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from ...annotations.epic import NUM_NOUNS, NUM_VERBS, read_epic_segments
from ...annotations.epic_lists import (
    EpicActions,
    load_epic_actions,
    read_epic_participants,
    read_epic_tail,
    unlike_actions,
)
from ...messages import text_table
from ..functional.epic import (
    TASKS,
    evaluate_epic_anticipation,
    evaluate_epic_recognition,
)

#: Challenges by the name that stands in a submission.
CHALLENGES = {'action_recognition': evaluate_epic_recognition,
              'action_anticipation': evaluate_epic_anticipation}


class EpicTruth:
    """Segments with their labels and subsets.

    Arguments are the first nine of :class:`EpicRecognitionMetric`; tail verbs
    and tail nouns are given both or not at all. Lists without labels, such as
    of the test set, can be scored but not measured.
    """

    def __init__(self, ann_file: str, tail_verbs: Optional[str] = None,
                 tail_nouns: Optional[str] = None,
                 unseen_participants: Optional[str] = None,
                 actions: Union[str, Sequence[str], None] = None,
                 num_verbs: int = NUM_VERBS, num_nouns: int = NUM_NOUNS,
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
        self.segments = read_epic_segments(path(ann_file), **options)
        self.actions = None
        if actions is not None:
            names = [actions] if isinstance(actions, str) else actions
            self.take_actions(
                load_epic_actions(list(map(path, names)), **options))
        self.unseen = None
        if unseen_participants is not None:
            self.unseen = self.segments.is_unseen(
                read_epic_participants(path(unseen_participants)))
        self.tail = None
        if tail_verbs is not None:
            self.tail = self.segments.is_tail(
                read_epic_tail(path(tail_verbs), num_verbs),
                read_epic_tail(path(tail_nouns), num_nouns))

    def take_actions(self, actions: EpicActions) -> None:
        """Numbers the actions, once; others later are a ValueError."""
        if self.actions is not None:
            unlike = unlike_actions(self.actions.pairs, actions.pairs)
            if unlike:
                raise ValueError(
                    'these are not the actions of the data set, or that a '
                    f'dump is of: {unlike}. Remedy: leave `actions` out of '
                    'metrics and tools, which then take those')
            return
        actions.check_classes(self.num_classes['verb'],
                              self.num_classes['noun'])
        self.segments = self.segments.with_actions(actions)
        self.num_classes['action'] = len(actions)
        self.actions = actions

    def measure(self, challenge: str, scores: Mapping[str, np.ndarray],
                rows: Optional[np.ndarray] = None,
                **options: Any) -> dict[str, float]:
        """Measures by name, as the challenge has them; none without labels.

        ``scores`` are logits by task, one row a segment, NaN where it could
        not be scored; ``rows`` are those of the table that they are of, None
        for all; ``options`` are those of the measure.
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
    """Measures as a table: a line a subset, per cent by task and measure."""
    names = [name for name in measures if name.split('_')[0] in TASKS]
    rows = [['', *(name.replace('_', ' ', 1) for name in names)]]
    for subset, prefix in (('overall', ''), ('unseen', 'unseen_'),
                           ('tail', 'tail_')):
        cells = [measures.get(prefix + name) for name in names]
        if any(cell is not None for cell in cells):
            rows.append([subset, *('' if cell is None else f'{100 * cell:.2f}'
                                   for cell in cells)])
    return text_table(rows)
