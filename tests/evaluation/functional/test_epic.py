# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The definitions are written down once more here, slowly and plainly."""
import math
from collections import defaultdict
from itertools import product

import numpy as np
import pytest

from mmaction_memvit.evaluation.functional import epic as module
from mmaction_memvit.evaluation.functional.epic import (
    MISSED,
    action_ranks,
    best_actions,
    evaluate_epic_anticipation,
    evaluate_epic_recognition,
    marginal_scores,
)

NUM_VERBS, NUM_NOUNS = 9, 12
SHAPES = {'verb': NUM_VERBS, 'noun': NUM_NOUNS}


def softmax(scores):
    top = max(scores)
    exps = [math.exp(s - top) for s in scores]
    return [e / math.fsum(exps) for e in exps]


def plain_hit(scores, label, k):
    """Whether the true class is among the k best however ties are sorted.

    ``scores`` are by class; NaN, and a class that has none, are missed.
    """
    if label not in scores or not all(map(math.isfinite, scores.values())):
        return False
    others = [s for c, s in scores.items() if c != label]
    return sum(s >= scores[label] for s in others) < k


def plain_pairs(verb, noun, exact, kept=100):
    """Scores of all kept pairs: products of probabilities.

    Products underflow and round; what they stand for, sums of logits, does
    not, and is the same where scores are ordinary.
    """
    if not all(map(math.isfinite, (*verb, *noun))):
        return {}
    probs = (verb, noun) if exact else (softmax(verb), softmax(noun))
    best = [sorted(range(len(s)), key=lambda c, s=s: (-s[c], c))[:kept]
            for s in (verb, noun)]
    return {(v, n): probs[0][v] + probs[1][n] if exact else
            probs[0][v] * probs[1][n] for v, n in product(*best)}


def plain_hits(scores, labels, k, exact, kept=100):
    """By task, whether each segment is hit."""
    lists = {t: s.tolist() for t, s in scores.items()}
    hits = {t: [plain_hit(dict(enumerate(s)), c, k)
                for s, c in zip(lists[t], labels[t])] for t in lists}
    if 'action' not in hits:
        hits['action'] = [
            plain_hit(plain_pairs(v, n, exact, kept), (int(a), int(b)),
                      min(k, kept))
            for v, n, a, b in zip(lists['verb'], lists['noun'],
                                  labels['verb'], labels['noun'])]
    return hits


def plain_measures(scores, labels, unseen, tail, exact, anticipates):
    """Accuracies, or means over classes of recalls."""
    classes = {'verb': labels['verb'], 'noun': labels['noun'],
               'action': list(zip(labels['verb'], labels['noun']))}
    out = {}
    for k in (5, ) if anticipates else (1, 5):
        for task, hits in plain_hits(scores, labels, k, exact).items():
            for name, mask in (('', [True] * len(hits)), ('unseen_', unseen),
                               ('tail_', tail[task])):
                groups = defaultdict(list)
                for hit, label, used in zip(hits, classes[task], mask):
                    if used:
                        groups[label if anticipates else 0].append(hit)
                means = [sum(x) / len(x) for x in groups.values()]
                if means and (anticipates or k == 1 or not name):
                    kind = 'recall' if anticipates else 'top'
                    out[f'{name}{task}_{kind}{k}'] = sum(means) / len(means)
    return out


def make(kind, seed, num=60):
    """Scores that are hard to rank in different ways, and labels."""
    rng = np.random.default_rng(seed)
    # Classes as unequal as in kitchens.
    labels = {'verb': np.minimum(rng.geometric(0.3, num), NUM_VERBS) - 1,
              'noun': np.minimum(rng.geometric(0.2, num), NUM_NOUNS) - 1}
    tail = {'verb': labels['verb'] > 4, 'noun': labels['noun'] > 6}
    tail['action'] = tail['verb'] | tail['noun']
    scores = {t: rng.normal(size=(num, n)) for t, n in SHAPES.items()}
    every = np.arange(num)
    for task, array in scores.items():
        label = labels[task]
        if kind == 'good':
            array[every, label] += 2
        elif kind == 'tied':
            array[:] = rng.integers(0, 3, array.shape)
        elif kind == 'constant':
            array[:] = -3.25
        elif kind == 'as the fifth':
            # As good as the fifth best, a little better, a little worse.
            fifth = np.sort(array, 1)[:, -5]
            array[every, label] = np.choose(every % 3, [
                np.nextafter(fifth, -np.inf), fifth,
                np.nextafter(fifth, np.inf)])
        elif kind == 'adversarial':
            # The true class ties with all, with one, or is last by a hair.
            array[:] = 0
            array[every, label] = np.choose(
                every % 4, [0, np.nextafter(0, 1), -1e-300, 700.])
            array[3::4, 1] = 700.
    if kind == 'broken':
        scores['verb'][::3, 2] = np.nan
        scores['noun'][1::4] = np.inf
        scores['noun'][2::5, 0] = -np.inf
    return scores, labels, rng.random(num) < 0.3, tail


@pytest.mark.parametrize('kind', ('random', 'good', 'tied', 'constant',
                                  'broken', 'as the fifth', 'adversarial'))
@pytest.mark.parametrize('seed', range(3))
def test_agrees_with_the_definitions(kind, seed):
    data = make(kind, seed)
    exact = kind not in ('random', 'good', 'broken')
    scores, labels, unseen, tail = data
    order = np.random.default_rng(seed).permutation(len(unseen))
    for measure, num in ((evaluate_epic_recognition, 12),
                         (evaluate_epic_anticipation, 9)):
        got = measure(*data)
        want = plain_measures(*data, exact, num == 9)
        assert len(want) == num and got == pytest.approx(want, abs=1e-9)
        if kind == 'constant':
            assert set(got.values()) == {0}
        assert got == measure(
            *({t: a[order] for t, a in d.items()} for d in (scores, labels)),
            unseen[order], {t: m[order] for t, m in tail.items()})


def test_action_head():
    scores, labels, unseen, tail = make('tied', 3)
    rng = np.random.default_rng(3)
    # Some actions are none of the model's classes: always missed.
    labels['action'] = rng.integers(-1, 9, 60)
    scores['action'] = rng.integers(0, 4, (60, 9)).astype(float)
    want = plain_measures(scores, labels, unseen, tail, True, False)
    assert evaluate_epic_recognition(scores, labels, unseen,
                                     tail) == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize('seed', range(2))
def test_more_than_hundred_classes(seed):
    """Nouns behind the hundredth are out, and so are pairs."""
    rng = np.random.default_rng(seed)
    verb, noun = rng.normal(size=(6, 20)), rng.normal(size=(6, 130))
    noun[0] = 0
    verbs, nouns = rng.integers(0, 20, 6), np.argsort(
        noun, 1)[:, [0, 5, 29, 30, 90, 129]].diagonal()
    for k, kept in ((1, 100), (50, 100), (1000, 100), (1, 1)):
        want = plain_hits(dict(verb=verb, noun=noun),
                          dict(verb=verbs, noun=nouns), k, False, kept)
        got = action_ranks(verb, noun, verbs, nouns, kept) < k
        assert got.tolist() == want['action']
    ranks = action_ranks(verb, noun, verbs, nouns)
    assert ranks[0] == ranks[1] == MISSED
    # The noun behind the last that is kept, with a single verb.
    for label, hit in ((30, True), (29, False)):
        rank, = action_ranks(np.zeros((1, 1)), np.arange(130.)[None],
                             np.array([0]), np.array([label]))
        assert (rank < 100) == hit


@pytest.mark.parametrize('kind', ('random', 'tied', 'constant'))
def test_best_actions(kind, monkeypatch):
    monkeypatch.setattr(module, '_CHUNK', 4)
    scores = make(kind, 0, 10)[0]
    verbs, nouns, probs = best_actions(scores['verb'], scores['noun'], 6)
    for i in range(10):
        verb, noun = scores['verb'][i].tolist(), scores['noun'][i].tolist()
        pairs = plain_pairs(verb, noun, True, 6)
        best = sorted(pairs, key=lambda p: (-pairs[p], *p))[:6]
        assert list(zip(verbs[i], nouns[i])) == best
        assert probs[i] == pytest.approx(
            [softmax(verb)[v] * softmax(noun)[n] for v, n in best], abs=1e-9)
    # Fewer pairs than wanted: all.
    verbs, nouns, probs = best_actions(scores['verb'], scores['noun'], 200)
    assert verbs.shape == (10, NUM_VERBS * NUM_NOUNS)
    assert probs.sum(1) == pytest.approx(1)
    assert best_actions(np.zeros((0, 4)), np.zeros((0, 3)))[0].shape == (0, 12)


@pytest.mark.parametrize('kind', ('random', 'tied', 'constant', 'steep'))
def test_marginal_scores(kind):
    rng = np.random.default_rng(0)
    # Verb 6 and noun 0 are in no action.
    pairs = [(v, n) for v in range(6) for n in range(1, 9) if (v + n) % 3]
    pairs = rng.permutation(pairs)
    scores = rng.normal(size=(5, len(pairs)))
    if kind != 'random':
        scores = dict(tied=scores.round(), constant=0 * scores,
                      steep=400 * scores)[kind]
    got = marginal_scores(scores, pairs, 7, 9)
    for row in range(5):
        probs = softmax(scores[row].tolist())
        want = [[0.] * 7, [0.] * 9]
        for prob, pair in zip(probs, pairs.tolist()):
            for sums, number in zip(want, pair):
                sums[number] += prob
        for found, sums in zip(got, want):
            assert np.exp(found[row]) == pytest.approx(sums, abs=1e-9)
    # Not of how many segments there are at once.
    one = marginal_scores(scores[3:4], pairs, 7, 9)
    for found, alone in zip(got, one):
        assert np.isfinite(found).all() and np.array_equal(found[3], alone[0])
        best = [set(np.flatnonzero(x == x.max())) for x in found]
        assert kind != 'constant' or min(map(len, best)) > 1
    # A segment without scores has none of these.
    scores[2] = np.nan
    assert all(np.isnan(x[2]).all() and np.isfinite(x[[0, 1, 3, 4]]).all()
               for x in marginal_scores(scores, pairs, 7, 9))


def test_sums_of_equal_probabilities_are_equal():
    # Three verbs, of each the same probabilities in another order.
    rng = np.random.default_rng(1)
    logits = rng.normal(size=40)
    scores = np.concatenate([rng.permutation(logits) for _ in range(3)])[None]
    pairs = [(v, n) for v in range(3) for n in range(40)]
    verb, _ = marginal_scores(scores, pairs, 3, 40)
    assert len(set(verb[0])) == 1
    # So none of them is right.
    for true in range(3):
        assert evaluate_epic_recognition(
            {'verb': verb}, {'verb': np.array([true])})['verb_top1'] == 0


def test_what_there_is_is_measured():
    labels = {'verb': np.array([0, 1]), 'noun': np.array([0, 1])}
    none, verb = np.zeros(2, bool), np.eye(2)
    assert evaluate_epic_recognition({'verb': verb}, labels, none, {
        'verb': none}) == {'verb_top1': 1, 'verb_top5': 1}
    assert evaluate_epic_recognition({'noun': verb}, labels, topk=(2, )) == {
        'noun_top2': 1}
    # What is not known is missed even where k is the number of classes.
    verb = np.array([[1., 0], [np.nan, np.nan]])
    assert evaluate_epic_anticipation({'verb': verb}, labels) == {
        'verb_recall5': 0.5}
    # Two pairs that the head has no class for are two missed classes.
    three = np.arange(3)
    assert evaluate_epic_anticipation({'action': np.eye(3)}, {
        'verb': three, 'noun': three, 'action': np.array([0, -1, -1])}) == {
            'action_recall5': 1 / 3}
    with pytest.raises(ValueError, match='no scores'):
        evaluate_epic_recognition({'object': verb}, labels)
    with pytest.raises(ValueError, match=r'\(2, 2\) and labels of shape \(3'):
        evaluate_epic_recognition({'verb': verb}, {'verb': np.zeros(3, int)})
    with pytest.raises(ValueError, match="mask 'unseen_'"):
        evaluate_epic_recognition({'verb': verb}, labels, np.zeros(3, bool))
    with pytest.raises(ValueError, match='2 segments with verbs, but 1'):
        action_ranks(verb, verb[:1], labels['verb'], np.array([1]))
