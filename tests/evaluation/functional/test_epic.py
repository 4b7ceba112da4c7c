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
    class_ranks,
    evaluate_epic_anticipation,
    evaluate_epic_recognition,
    log_softmax,
    marginal_scores,
)

NUM_VERBS, NUM_NOUNS = 7, 11


def softmax(scores):
    top = max(scores)
    exps = [math.exp(s - top) for s in scores]
    return [e / math.fsum(exps) for e in exps]


def plain_hit(scores, label, k):
    """Whether the true class is among the k best however ties are sorted."""
    if not all(math.isfinite(s) for s in scores):
        return False
    others = [s for c, s in enumerate(scores) if c != label]
    return sum(s >= scores[label] for s in others) < k


def plain_action_hit(verb, noun, label, k, kept=100, score=None):
    """By sorting the products of all kept pairs."""
    if not all(math.isfinite(s) for s in (*verb, *noun)):
        return False
    probs = softmax(verb), softmax(noun)
    score = score or (lambda v, n: probs[0][v] * probs[1][n])
    verbs = sorted(range(len(verb)), key=lambda v: (-verb[v], v))[:kept]
    nouns = sorted(range(len(noun)), key=lambda n: (-noun[n], n))[:kept]
    pairs = {pair: score(*pair) for pair in product(verbs, nouns)}
    if label not in pairs:
        return False
    better = [p for p in pairs if p != label and pairs[p] >= pairs[label]]
    return len(better) < min(k, kept)


def plain_recognition(verb, noun, labels, unseen, tail, action=None,
                      score=None):
    hits = {}
    for k in (1, 5):
        hits['verb', k] = [plain_hit(s, c, k)
                           for s, c in zip(verb, labels['verb'])]
        hits['noun', k] = [plain_hit(s, c, k)
                           for s, c in zip(noun, labels['noun'])]
        if action is None:
            rows = range(len(verb))
            hits['action', k] = [
                plain_action_hit(
                    verb[i], noun[i],
                    (labels['verb'][i], labels['noun'][i]), k,
                    score=score and (lambda v, n, i=i: score(i, v, n)))
                for i in rows]
        else:
            hits['action', k] = [plain_hit(s, c, k)
                                 for s, c in zip(action, labels['action'])]
    out = {}
    for task in ('verb', 'noun', 'action'):
        for name, mask, ks in (('', [True] * len(verb), (1, 5)),
                               ('unseen_', unseen, (1, )),
                               ('tail_', tail[task], (1, ))):
            for k in ks:
                some = [h for h, m in zip(hits[task, k], mask) if m]
                if some:
                    out[f'{name}{task}_top{k}'] = sum(some) / len(some)
    return out


def make_labels(rng, num):
    labels = {'verb': rng.integers(0, NUM_VERBS, num),
              'noun': rng.integers(0, NUM_NOUNS, num)}
    tail = {'verb': labels['verb'] >= 5, 'noun': labels['noun'] >= 8}
    tail['action'] = tail['verb'] | tail['noun']
    return labels, rng.random(num) < 0.3, tail


def make_scores(rng, kind, labels):
    """Scores that are hard to rank in different ways."""
    num = len(labels['verb'])
    shape = {'verb': (num, NUM_VERBS), 'noun': (num, NUM_NOUNS)}
    if kind == 'random':
        return {t: rng.normal(size=s) for t, s in shape.items()}
    if kind == 'good':
        scores = {t: rng.normal(size=s) for t, s in shape.items()}
        for task in scores:
            scores[task][np.arange(num), labels[task]] += 2
        return scores
    if kind == 'tied':
        return {t: rng.integers(0, 3, s).astype(float)
                for t, s in shape.items()}
    if kind == 'constant':
        return {t: np.full(s, -3.25) for t, s in shape.items()}
    if kind == 'broken':
        scores = {t: rng.normal(size=s) for t, s in shape.items()}
        scores['verb'][::3, 2] = np.nan
        scores['noun'][1::4] = np.inf
        scores['noun'][2::5, 0] = -np.inf
        return scores
    assert kind == 'adversarial'
    # The true class ties with all, with one, or is last by a hair.
    scores = {t: np.zeros(s) for t, s in shape.items()}
    for task in scores:
        for i, label in enumerate(labels[task]):
            if i % 4 == 1:
                scores[task][i, label] = np.nextafter(0, 1)
            elif i % 4 == 2:
                scores[task][i, label] = -1e-300
            elif i % 4 == 3:
                scores[task][i, [label, (label + 1) % NUM_VERBS]] = 700.
    return scores


KINDS = ('random', 'good', 'tied', 'constant', 'broken', 'adversarial')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('seed', range(3))
def test_agrees_with_the_definitions(kind, seed):
    rng = np.random.default_rng(seed)
    labels, unseen, tail = make_labels(rng, 60)
    scores = make_scores(rng, kind, labels)
    # Products of probabilities underflow and round; what they stand for does
    # not, and is the same where scores are ordinary.
    exact = None if kind in ('random', 'good', 'broken') else (
        lambda i, v, n: scores['verb'][i][v] + scores['noun'][i][n])
    want = plain_recognition(scores['verb'].tolist(),
                             scores['noun'].tolist(), {
                                 t: c.tolist() for t, c in labels.items()
                             }, unseen, tail, score=exact)
    got = evaluate_epic_recognition(scores, labels, unseen, tail)
    assert len(want) == 12 and got == pytest.approx(want, abs=1e-9)
    if kind == 'constant':
        assert set(got.values()) == {0}


def test_action_head():
    rng = np.random.default_rng(3)
    labels, unseen, tail = make_labels(rng, 40)
    # Some actions are none of the model's classes: always missed.
    labels['action'] = rng.integers(-1, 9, 40)
    scores = make_scores(rng, 'tied', labels)
    scores['action'] = rng.integers(0, 4, (40, 9)).astype(float)
    want = plain_recognition(scores['verb'].tolist(),
                             scores['noun'].tolist(), {
                                 t: c.tolist() for t, c in labels.items()
                             }, unseen, tail, [
                                 s if c >= 0 else [math.nan] * 9 for s, c in
                                 zip(scores['action'].tolist(),
                                     labels['action'])
                             ])
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
    for k in (1, 5, 50, 100, 1000):
        want = [plain_action_hit(v, n, (int(a), int(b)), k)
                for v, n, a, b in zip(verb.tolist(), noun.tolist(), verbs,
                                      nouns)]
        got = action_ranks(verb, noun, verbs, nouns) < k
        assert got.tolist() == want
    ranks = action_ranks(verb, noun, verbs, nouns)
    assert ranks[0] == ranks[1] == MISSED
    # The noun behind the last that is kept, with a single verb.
    one = np.arange(130.)[None]
    for noun_class, hit in ((30, True), (29, False)):
        rank = action_ranks(np.zeros((1, 1)), one, np.array([0]),
                            np.array([noun_class]))
        assert (rank[0] < 100) == hit
    # Fewer are kept on request.
    assert (action_ranks(verb, noun, verbs, nouns, 1) < 1).tolist() == [
        plain_action_hit(v, n, (int(a), int(b)), 1, kept=1)
        for v, n, a, b in zip(verb.tolist(), noun.tolist(), verbs, nouns)]


@pytest.mark.parametrize('kind', ('random', 'tied', 'constant'))
def test_best_actions(kind, monkeypatch):
    monkeypatch.setattr(module, '_CHUNK', 4)
    rng = np.random.default_rng(0)
    labels, _, _ = make_labels(rng, 10)
    scores = make_scores(rng, kind, labels)
    verbs, nouns, probs = best_actions(scores['verb'], scores['noun'], 6)
    for i in range(10):
        verb, noun = scores['verb'][i].tolist(), scores['noun'][i].tolist()
        kept = [sorted(range(len(s)), key=lambda c, s=s: (-s[c], c))[:6]
                for s in (verb, noun)]
        pairs = sorted(product(*kept),
                       key=lambda p: (-(verb[p[0]] + noun[p[1]]), *p))[:6]
        assert list(zip(verbs[i], nouns[i])) == pairs
        assert probs[i] == pytest.approx(
            [softmax(verb)[v] * softmax(noun)[n] for v, n in pairs], abs=1e-9)
    # Fewer pairs than wanted: all.
    verbs, nouns, probs = best_actions(scores['verb'], scores['noun'])
    assert verbs.shape == (10, NUM_VERBS * NUM_NOUNS)
    assert probs.sum(1) == pytest.approx(1)
    verbs, _, _ = best_actions(np.zeros((0, 4)), np.zeros((0, 3)))
    assert verbs.shape == (0, 12)


def test_ranks():
    scores = [[.5, .2, .3], [.4, .4, .2], [1, 1, 1], [0, np.nan, 0],
              [.5, .2, .3], [.5, .2, .3]]
    assert class_ranks(scores, np.array([2, 0, 0, 0, -1, 3])).tolist() == [
        1, 1, 2, MISSED, MISSED, MISSED]
    # What is not known is missed even where k is the number of classes.
    assert evaluate_epic_recognition({'verb': np.full((1, 2), np.nan)},
                            {'verb': np.array([0])}) == {
                                'verb_top1': 0, 'verb_top5': 0}


def test_marginal_scores():
    rng = np.random.default_rng(0)
    pairs = np.array([[0, 1], [0, 2], [2, 1], [1, 0]])
    scores = rng.normal(size=(5, 4))
    verb, noun = marginal_scores(scores, pairs, 4, 3)
    for i in range(5):
        probs = softmax(scores[i].tolist())
        assert np.exp(verb[i]) == pytest.approx(
            [probs[0] + probs[1], probs[3], probs[2], 0], abs=1e-9)
        assert np.exp(noun[i]) == pytest.approx(
            [probs[3], probs[0] + probs[2], probs[1]], abs=1e-9)
    assert np.isfinite(verb).all()


def test_log_softmax_does_not_overflow():
    logs = log_softmax([[1000., 0, -1000]])
    assert logs.tolist() == [[0, -1000, -2000]]


def test_what_there_is_is_measured():
    labels = {'verb': np.array([0, 1]), 'noun': np.array([0, 1])}
    none = np.zeros(2, bool)
    verb = np.eye(2)
    assert evaluate_epic_recognition({'verb': verb}, labels, none, {
        'verb': none}) == {'verb_top1': 1, 'verb_top5': 1}
    assert evaluate_epic_recognition({'noun': verb}, labels, topk=(2, )) == {
        'noun_top2': 1}
    with pytest.raises(ValueError, match='no scores'):
        evaluate_epic_recognition({'object': verb}, labels)
    with pytest.raises(ValueError, match=r'\(2, 2\) and labels of shape \(3'):
        evaluate_epic_recognition({'verb': verb}, {'verb': np.zeros(3, int)})
    with pytest.raises(ValueError, match="mask 'unseen_'"):
        evaluate_epic_recognition({'verb': verb}, labels, np.zeros(3, bool))
    with pytest.raises(ValueError, match='2 segments with verbs, but 1'):
        action_ranks(verb, verb[:1], labels['verb'], np.array([1]))


# -- anticipation -----------------------------------------------------------


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


def test_actions_unknown_to_the_head_are_classes():
    """Two pairs that the head has no class for are two missed classes."""
    labels = {'verb': np.array([0, 1, 2]), 'noun': np.array([0, 1, 2]),
              'action': np.array([0, -1, -1])}
    got = evaluate_epic_anticipation({'action': np.eye(3)}, labels)
    assert got == {'action_recall5': 1 / 3}
