# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Class-mean recall in the action anticipation challenge of EPIC-KITCHENS-100.

Ties and segments without scores are treated as in ``epic_recognition.py``:
a tie counts against the model, and a segment before which there was nothing
to observe has NaN as scores, is missed, and counts.
"""
from collections.abc import Mapping
from typing import Optional

import numpy as np

from .epic_recognition import subsets, task_ranks


def class_mean_recall(ranks: np.ndarray, classes: np.ndarray, k: int) -> float:
    """Mean over classes of the share of segments with rank below k.

    The mean is over the classes that occur in ``classes``, int (N, ), as are
    ``ranks``, 0 for the best; NaN without segments.
    """
    if not len(ranks):
        return float('nan')
    _, inverse, totals = np.unique(
        classes, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse.ravel(), np.asarray(ranks) < k, len(totals))
    return float(np.mean(hits / totals))


def evaluate_epic_anticipation(
        scores: Mapping[str, np.ndarray],
        labels: Mapping[str, np.ndarray],
        unseen: Optional[np.ndarray] = None,
        tail: Optional[Mapping[str, np.ndarray]] = None,
        k: int = 5) -> dict[str, float]:
    """Measures of the action anticipation challenge.

    Arguments are those of
    :func:`~.epic_recognition.evaluate_epic_recognition`, with one ``k``, the
    number of best classes that count as predicted. Scores are NaN for a
    segment before which there was nothing to observe.

    Returns:
        dict[str, float]: Class-mean recalls from 0 to 1: ``verb_recall5``,
            ``unseen_verb_recall5``, ``tail_verb_recall5`` and the same for
            ``noun`` and ``action``. The mean is over the classes that occur in
            the subset. What has no segment is left out.
    """
    ranks = task_ranks(scores, labels)
    verbs, nouns = np.asarray(labels['verb']), np.asarray(labels['noun'])
    # By pairs: actions that a model has no class for are classes, too.
    pairs = verbs.astype(np.int64) << 32 | nouns
    classes = {'verb': verbs, 'noun': nouns, 'action': pairs}
    out = {}
    for task, rank in ranks.items():
        if len(rank):
            out[f'{task}_recall{k}'] = class_mean_recall(
                rank, classes[task], k)
    for task, name, mask in subsets(ranks, unseen, tail):
        if mask.any():
            out[f'{name}_{task}_recall{k}'] = class_mean_recall(
                ranks[task][mask], classes[task][mask], k)
    return out
