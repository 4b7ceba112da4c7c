# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Measures of the challenges of EPIC-KITCHENS-100.

Scores are logits or log-probabilities: verbs and nouns are turned into
probabilities by a softmax where they are multiplied.

*Ties* count against the model: the rank of the true class is the number of
other classes with the same score or a better one. Constant scores are
thus wrong, and not right for whatever class a sort happens to put first, and
a result never depends on the order of classes or segments. Where scores
differ, all definitions agree.

*No scores*: a segment of whose scores one is not finite (NaN all over where
nothing could be observed) is missed, at any k, and counts.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

#: So many of the best verbs, nouns and actions are kept.
NUM_KEPT = 100
#: Rank of a class that has no rank: behind all others.
MISSED = np.iinfo(np.int64).max
TASKS = ('verb', 'noun', 'action')
# Seconds closer than this are the same: rounding must not decide.
SAME_TIME = 1e-6
# Rows handled at once, so that 100 x 100 actions a row stay small.
_CHUNK = 128


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log-probabilities of logits (..., num_classes), float64."""
    scores = np.asarray(scores, np.float64)
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def log_probabilities(probs: np.ndarray) -> np.ndarray:
    """Logarithms, float64; that of probability 0 is the least number."""
    probs = np.asarray(probs, np.float64)
    return np.log(np.maximum(probs, np.finfo(np.float64).tiny))


def class_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rank of the true class, int64 (N, ), 0 for the best.

    ``scores`` are of shape (N, num_classes), ``labels`` int (N, ). Segments
    without scores, and classes that have none, are ``MISSED``.
    """
    scores, labels = _checked(scores, labels)
    known = _is_known(scores, labels)
    true = scores[np.arange(len(scores)), np.where(known, labels, 0)]
    # A comparison with NaN is never true, nor a warning worth.
    ranks = (scores >= true[:, None]).sum(1) - 1
    return np.where(known, ranks, MISSED)


def action_ranks(verb_scores: np.ndarray, noun_scores: np.ndarray,
                 verbs: np.ndarray, nouns: np.ndarray,
                 num_kept: int = NUM_KEPT) -> np.ndarray:
    """Rank of the true action among pairs of verbs and nouns.

    See :func:`best_actions` for what is ranked. Sums of both logits order
    pairs as products of both probabilities do, but neither underflow nor
    rounding makes or breaks a tie. Logits are of shape (N, classes), true
    classes int (N, ), ranks int64 (N, ): ``MISSED`` for actions that are not
    kept and segments without scores.
    """
    verb_scores, verbs = _checked(verb_scores, verbs)
    noun_scores, nouns = _checked(noun_scores, nouns)
    if len(verbs) != len(nouns):
        raise ValueError(f'{len(verbs)} segments with verbs, but '
                         f'{len(nouns)} with nouns')
    ranks = np.full(len(verbs), MISSED)
    rows = np.flatnonzero(_is_known(verb_scores, verbs)
                          & _is_known(noun_scores, nouns))
    for first in range(0, len(rows), _CHUNK):
        some = rows[first:first + _CHUNK]
        verb, noun = verb_scores[some], noun_scores[some]
        each = np.arange(len(some))
        true = verb[each, verbs[some]] + noun[each, nouns[some]]
        best_verbs, best_nouns = _best(verb, num_kept), _best(noun, num_kept)
        sums = _pair_sums(verb, noun, best_verbs, best_nouns)
        rank = (sums >= true[:, None]).sum(1) - 1
        kept = ((best_verbs == verbs[some, None]).any(1)
                & (best_nouns == nouns[some, None]).any(1)
                & (rank < num_kept))
        ranks[some] = np.where(kept, rank, MISSED)
    return ranks


def best_actions(
        verb_scores: np.ndarray, noun_scores: np.ndarray,
        num_kept: int = NUM_KEPT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best pairs of verb and noun.

    The best verbs are paired with the best nouns; a pair scores the product of
    both probabilities. Of equal scores the lower verb comes first, then the
    lower noun. Scores are finite logits (N, classes); ``num_kept`` verbs,
    nouns and pairs are kept. The result are verbs, nouns (int64) and
    probabilities (float64) of the pairs, the best first, each of shape (N,
    min(num_kept, pairs)).
    """
    verb_scores = np.asarray(verb_scores, np.float64)
    noun_scores = np.asarray(noun_scores, np.float64)
    out = []
    for first in range(0, max(1, len(verb_scores)), _CHUNK):
        verb = verb_scores[first:first + _CHUNK]
        noun = noun_scores[first:first + _CHUNK]
        # Ascending verbs, so that a stable sort puts the lower ones first.
        verbs = np.sort(_best(verb, num_kept), 1)
        nouns = _best(noun, num_kept)
        best = _best(_pair_sums(verb, noun, verbs, nouns), num_kept)
        pairs = (np.take_along_axis(verbs, best // nouns.shape[1], 1),
                 np.take_along_axis(nouns, best % nouns.shape[1], 1))
        out.append((*pairs, np.exp(sum(
            np.take_along_axis(log_softmax(scores), classes, 1)
            for scores, classes in zip((verb, noun), pairs)))))
    return tuple(map(np.concatenate, zip(*out)))


def marginal_scores(
        action_scores: np.ndarray, pairs: np.ndarray, num_verbs: int,
        num_nouns: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of verbs and nouns from those of actions.

    The probability of a verb is the sum over all actions with that verb.
    ``action_scores`` are logits (N, num_actions), ``pairs`` their verbs and
    nouns, int (num_actions, 2). The results are log-probabilities, float64 (N,
    classes); that of classes in no action is the lowest finite value. Segments
    without scores, NaN, have none of verbs and nouns either.
    """
    # Classes first: every sum is then over neighbours in memory.
    probs = np.exp(log_softmax(action_scores)).T.copy()
    out = []
    for classes, num in zip(np.transpose(pairs), (num_verbs, num_nouns)):
        # Classes in no action have 0, but for segments without scores.
        sums = np.repeat(0 * probs[:1], num, axis=0)
        for number in np.unique(classes):
            # The least first, one by one: neither the order of actions nor
            # the number of segments makes or breaks a tie.
            parts = np.sort(probs[classes == number], axis=0)
            sums[number] = parts.cumsum(0)[-1]
        out.append(log_probabilities(sums.T))
    return tuple(out)


def evaluate_epic_recognition(
        scores: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray],
        unseen: np.ndarray | None = None,
        tail: Mapping[str, np.ndarray] | None = None,
        topk: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Accuracies, as the action recognition challenge has them.

    Args:
        scores (Mapping[str, np.ndarray]): Logits ``'verb'`` (N, num_verbs),
            ``'noun'`` (N, num_nouns) and ``'action'`` (N, num_actions), as far
            as there are any. Without ``'action'``, actions are ranked as pairs
            of verbs and nouns.
        labels (Mapping[str, np.ndarray]): True classes ``'verb'``, ``'noun'``
            and, for scores of actions, ``'action'``, int (N, ).
        unseen (np.ndarray, optional): Whether the participant is not in the
            training set, bools (N, ). Defaults to None: not measured.
        tail (Mapping[str, np.ndarray], optional): By task, whether the class
            is rare, bools (N, ). Defaults to None: not measured.
        topk (Sequence[int]): Which accuracies are computed over all segments;
            over subsets it is top-1. Defaults to (1, 5).

    Returns:
        dict[str, float]: Shares from 0 to 1: ``verb_top1``, ``verb_top5``,
            ``unseen_verb_top1``, ``tail_verb_top1`` and the same for ``noun``
            and ``action``. What has no segment is left out.
    """
    out = {}
    for task, name, ranks, _ in _subsets(scores, labels, unseen, tail):
        for k in (1, ) if name else topk:
            out[f'{name}{task}_top{k}'] = float(np.mean(ranks < k))
    return out


def evaluate_epic_anticipation(scores: Mapping[str, np.ndarray],
                               labels: Mapping[str, np.ndarray],
                               unseen: np.ndarray | None = None,
                               tail: Mapping[str, np.ndarray] | None = None,
                               k: int = 5) -> dict[str, float]:
    """Class-mean recalls, as the action anticipation challenge has them.

    Arguments and results are those of :func:`evaluate_epic_recognition`, with
    one ``k``, the number of best classes that count as predicted, and names
    such as ``unseen_verb_recall5``. The mean is over the classes that occur in
    the subset.
    """
    verbs, nouns = np.asarray(labels['verb']), np.asarray(labels['noun'])
    # By pairs: actions that a model has no class for are classes, too.
    classes = {'verb': verbs, 'noun': nouns,
               'action': verbs.astype(np.int64) << 32 | nouns}
    return {
        f'{name}{task}_recall{k}': class_mean_recall(
            ranks, classes[task][rows], k)
        for task, name, ranks, rows in _subsets(scores, labels, unseen, tail)}


def class_mean_recall(ranks: np.ndarray, classes: np.ndarray, k: int) -> float:
    """Mean over the classes that occur of the share of ranks below k."""
    _, inverse, totals = np.unique(
        classes, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse.ravel(), np.asarray(ranks) < k, len(totals))
    return float(np.mean(hits / totals))


def _subsets(scores: Mapping[str, np.ndarray],
             labels: Mapping[str, np.ndarray], unseen: np.ndarray | None,
             tail: Mapping[str, np.ndarray] | None) -> Iterator[tuple]:
    """Task, prefix, ranks and rows of all segments, unseen, then tail."""
    if not any(task in scores for task in TASKS):
        raise ValueError(f'there are no scores of {", ".join(TASKS)}, only '
                         f'{sorted(scores)}')
    ranks = {task: class_ranks(scores[task], labels[task])
             for task in TASKS if task in scores}
    if 'action' not in ranks and 'verb' in ranks and 'noun' in ranks:
        ranks['action'] = action_ranks(scores['verb'], scores['noun'],
                                       labels['verb'], labels['noun'])
    masks = [('', {task: np.ones(len(x), bool) for task, x in ranks.items()})]
    if unseen is not None:
        masks.append(('unseen_', dict.fromkeys(ranks, unseen)))
    if tail is not None:
        masks.append(('tail_', tail))
    for name, by_task in masks:
        for task, rank in ranks.items():
            mask = np.asarray(by_task[task], bool)
            if mask.shape != rank.shape:
                raise ValueError(
                    f'the mask {name!r} of {task} has shape {mask.shape}, the '
                    f'segments {rank.shape}')
            if mask.any():
                yield task, name, rank[mask], mask


def _pair_sums(verb: np.ndarray, noun: np.ndarray, verbs: np.ndarray,
               nouns: np.ndarray) -> np.ndarray:
    """Sums of the scores of some verbs and nouns, (N, verbs * nouns)."""
    sums = (np.take_along_axis(verb, verbs, 1)[:, :, None]
            + np.take_along_axis(noun, nouns, 1)[:, None])
    return sums.reshape(len(sums), verbs.shape[1] * nouns.shape[1])


def _best(scores: np.ndarray, num: int) -> np.ndarray:
    """The best classes, best first; of equal ones the lower first."""
    return np.argsort(-scores, axis=1, kind='stable')[:, :num]


def _is_known(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which rows have scores, of their true class too."""
    return (np.isfinite(scores).all(1) & (labels >= 0)
            & (labels < scores.shape[1]))


def _checked(scores: np.ndarray,
             labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if (scores.ndim != 2 or labels.shape != scores.shape[:1]
            or not scores.shape[1]):
        raise ValueError(f'scores of shape {scores.shape} and labels of shape '
                         f'{labels.shape} must be (N, num_classes) and (N, )')
    return scores, labels


# -- temporal tokens --------------------------------------------------------


def token_distance(times: np.ndarray, starts: np.ndarray | float,
                   stops: np.ndarray | float) -> np.ndarray:
    """Seconds between T tokens (T, 2) and S segments, 0 where they touch."""
    starts, stops = np.atleast_1d(starts), np.atleast_1d(stops)
    return np.maximum(
        0, np.maximum(times[:, :1] - stops, starts - times[:, 1:]))


def tokens_within(times: np.ndarray, start: float, stop: float,
                  max_distance: float) -> np.ndarray:
    """Numbers of the tokens whose centre lies within a segment.

    A segment that holds no centre gets the token whose centre is nearest to
    its middle, of equal ones the earlier, if its distance in seconds is at
    most ``max_distance``. ``times`` are start and end of tokens, (T, 2).
    """
    centres = times.mean(1)
    inside = np.flatnonzero((centres >= start - SAME_TIME)
                            & (centres <= stop + SAME_TIME))
    if len(inside):
        return inside
    near = np.flatnonzero(
        token_distance(times, start, stop)[:, 0] <= max_distance)
    if not len(near):
        return near
    off = np.abs(centres[near] - (start + stop) / 2)
    equal = near[off <= off.min() + SAME_TIME]
    return equal[np.argmin(centres[equal])][None]


def last_token_before(times: np.ndarray, target: float,
                      max_distance: float) -> np.ndarray:
    """Number of the token that ends last at ``target`` or before, or none.

    Of tokens that end at the same time the first is taken; one that ends more
    than ``max_distance`` seconds before is too old.
    """
    age = target - times[:, 1]
    past = np.flatnonzero((age >= -SAME_TIME) & (age <= max_distance))
    if not len(past):
        return past
    return past[np.argmax(age[past] <= age[past].min() + SAME_TIME)][None]


def average_scores(rows: np.ndarray, average: str,
                   is_probs: bool) -> np.ndarray:
    """Average of finite scores (N, num_classes), as logits, float64.

    ``average`` is 'prob' or 'score', see ``EpicRecognitionMetric``;
    ``is_probs`` says whether they are probabilities already.
    """
    rows = rows.astype(np.float64)
    if average == 'score':
        return np.sum(rows, axis=0) / len(rows)
    if len(rows) == 1 and not is_probs:
        # As it is: a softmax could only round.
        return rows[0]
    logs = log_probabilities(rows) if is_probs else log_softmax(rows)
    top = logs.max(0)
    return top + np.log(np.sum(np.exp(logs - top), axis=0) / len(rows))
