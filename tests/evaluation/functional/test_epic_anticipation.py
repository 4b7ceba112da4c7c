# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math
from collections import defaultdict

import numpy as np
import pytest

from mmaction_memvit.evaluation.functional.epic_anticipation import (
    class_mean_recall,
    evaluate_epic_anticipation,
)


def surely_in(scores, true, k):
    """Whether a class is among the k best however equal ones are sorted."""
    if not all(map(math.isfinite, scores.values())):
        return False
    return sum(s >= scores[true] for c, s in scores.items() if c != true) < k


def plain_recall(hits, classes):
    """Mean over classes of the share of hits."""
    by_class = defaultdict(list)
    for hit, label in zip(hits, classes):
        by_class[label].append(hit)
    return math.fsum(sum(h) / len(h)
                     for h in by_class.values()) / len(by_class)


def plain_anticipation(scores, labels, unseen, tail, k=5):
    verb, noun = scores['verb'].tolist(), scores['noun'].tolist()
    classes = {
        'verb': labels['verb'].tolist(),
        'noun': labels['noun'].tolist(),
        'action': list(zip(labels['verb'].tolist(), labels['noun'].tolist()))
    }
    hits = {'verb': [], 'noun': [], 'action': []}
    for i in range(len(verb)):
        hits['verb'].append(
            surely_in(dict(enumerate(verb[i])), classes['verb'][i], k))
        hits['noun'].append(
            surely_in(dict(enumerate(noun[i])), classes['noun'][i], k))
        # The sum of logits orders as the product of probabilities.
        pairs = {(v, n): verb[i][v] + noun[i][n]
                 for v in range(len(verb[i])) for n in range(len(noun[i]))}
        hits['action'].append(surely_in(pairs, classes['action'][i], k))
    out = {}
    for task in hits:
        for name, mask in (('', np.ones(len(verb), bool)),
                           ('unseen_', unseen), ('tail_', tail[task])):
            some = [i for i in range(len(verb)) if mask[i]]
            if some:
                out[f'{name}{task}_recall{k}'] = plain_recall(
                    [hits[task][i] for i in some],
                    [classes[task][i] for i in some])
    return out


def make(kind, seed, num=80):
    rng = np.random.default_rng(seed)
    # Classes as unequal as in kitchens.
    labels = {'verb': np.minimum(rng.geometric(0.3, num), 9) - 1,
              'noun': np.minimum(rng.geometric(0.2, num), 12) - 1}
    unseen = rng.random(num) < 0.2
    tail = {'verb': labels['verb'] > 4, 'noun': labels['noun'] > 6}
    tail['action'] = tail['verb'] | tail['noun']
    shapes = {'verb': (num, 9), 'noun': (num, 12)}
    if kind == 'tied':
        scores = {t: rng.integers(0, 3, s) * 1. for t, s in shapes.items()}
    elif kind == 'constant':
        scores = {t: np.ones(s) for t, s in shapes.items()}
    else:
        scores = {t: rng.normal(size=s) for t, s in shapes.items()}
        for task, array in scores.items():
            array[np.arange(num), labels[task]] += 1
    if kind == 'unobserved':
        for array in scores.values():
            array[::6] = np.nan
    if kind == 'adversarial':
        # As good as the fifth best, a little better, a little worse.
        for task, array in scores.items():
            fifth = np.sort(array, 1)[:, -5]
            array[np.arange(num), labels[task]] = np.choose(
                np.arange(num) % 3, [
                    np.nextafter(fifth, -np.inf), fifth,
                    np.nextafter(fifth, np.inf)
                ])
    return scores, labels, unseen, tail


@pytest.mark.parametrize(
    'kind', ('random', 'tied', 'constant', 'unobserved', 'adversarial'))
@pytest.mark.parametrize('seed', range(3))
def test_agrees_with_the_definition(kind, seed):
    data = make(kind, seed)
    want = plain_anticipation(*data)
    got = evaluate_epic_anticipation(*data)
    assert len(want) == 9 and got == pytest.approx(want, abs=1e-9)
    scores, labels, unseen, tail = data
    order = np.random.default_rng(seed).permutation(len(unseen))
    shuffled = evaluate_epic_anticipation(
        *({t: a[order] for t, a in d.items()} for d in (scores, labels)),
        unseen[order], {t: m[order] for t, m in tail.items()})
    assert shuffled == got


def test_every_class_weighs_the_same():
    ranks = np.array([0, 4, 5, 9, 0])
    classes = np.array([3, 3, 3, 3, 1])
    assert class_mean_recall(ranks, classes, 5) == (2 / 4 + 1) / 2
    assert class_mean_recall(ranks, classes, 1) == (1 / 4 + 1) / 2
    assert math.isnan(class_mean_recall(ranks[:0], classes[:0], 5))


def test_unobserved_segments_count():
    """Even where there are no more than five classes."""
    labels = {'verb': np.array([0, 1]), 'noun': np.array([0, 0])}
    scores = {'verb': np.array([[1., 0], [np.nan, np.nan]])}
    assert evaluate_epic_anticipation(scores, labels) == {'verb_recall5': 0.5}


def test_classes_of_a_subset_are_those_in_it():
    labels = {'verb': np.array([0, 0, 1, 2]), 'noun': np.zeros(4, int)}
    scores = {'verb': np.array([[1., 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]])}
    got = evaluate_epic_anticipation(scores, labels,
                            np.array([True, True, True, False]),
                            {'verb': np.array([False] * 3 + [True])}, k=1)
    assert got == {'verb_recall1': (0.5 + 1 + 0) / 3,
                   'unseen_verb_recall1': (0.5 + 1) / 2,
                   'tail_verb_recall1': 0}


def test_actions_unknown_to_the_head_are_classes():
    """Two pairs that the head has no class for are two missed classes."""
    labels = {'verb': np.array([0, 1, 2]), 'noun': np.array([0, 1, 2]),
              'action': np.array([0, -1, -1])}
    got = evaluate_epic_anticipation({'action': np.eye(3)}, labels)
    assert got == {'action_recall5': 1 / 3}
