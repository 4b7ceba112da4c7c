# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Submission files of the EPIC-KITCHENS-100 challenges.

A submission is a zip with one file, ``test.json``::

    {"version": "0.2", "challenge": "action_recognition",
     "sls_pt": 2, "sls_tl": 3, "sls_td": 4,
     "results": {"P01_101_0": {"verb": {"0": 1.2, ...},
                               "noun": {"0": 0.3, ...},
                               "action": {"3,12": 0.06, ...}}, ...}}

with the scores of all verbs and nouns and of the 100 best actions, 'verb,noun'
as text. The three ``sls`` numbers place the training on the supervision
levels scale: pre-training, training labels and training data, 0 to 5 each.
"""
import io
import json
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

import numpy as np
from mmengine.fileio import put

from ...annotations.epic import NUM_NOUNS, NUM_VERBS
from ...annotations.epic_lists import EpicActions
from ...messages import first_names, warn
from ..functional.epic import (
    NUM_KEPT,
    best_actions,
    log_softmax,
    marginal_scores,
)
from .epic_truth import CHALLENGES

VERSION = '0.2'
SLS_FIELDS = ('sls_pt', 'sls_tl', 'sls_td')
SLS_LIMIT = 5
_MEMBER = 'test.json'


def write_epic_submission(
        path: str, narration_ids: Sequence[str],
        scores: Mapping[str, np.ndarray], challenge: str, sls_pt: int,
        sls_tl: int, sls_td: int, actions: Optional[EpicActions] = None,
        num_verbs: int = NUM_VERBS, num_nouns: int = NUM_NOUNS) -> int:
    """Write a submission; returns the number of segments without scores.

    Segments that have no scores (NaN) get 0 for all classes, since every
    segment has to be there.

    Args:
        path (str): The zip file to write.
        narration_ids (Sequence[str]): Names of the N segments.
        scores (Mapping[str, np.ndarray]): Logits ``'verb'`` (N, num_verbs) and
            ``'noun'`` (N, num_nouns) and, if the model has them, ``'action'``
            (N, num_actions); ``'action'`` alone is enough. For example of
            ``read_epic_dump``.
        challenge (str): ``'action_recognition'`` or ``'action_anticipation'``.
        sls_pt (int): Level of pre-training, 0 to 5.
        sls_tl (int): Level of training labels, 0 to 5.
        sls_td (int): Level of training data, 0 to 5.
        actions (EpicActions, optional): Needed for scores of actions. Defaults
            to None.
        num_verbs (int): Number of verb classes. Defaults to 97.
        num_nouns (int): Number of noun classes. Defaults to 300.
    """
    sls = {'sls_pt': sls_pt, 'sls_tl': sls_tl, 'sls_td': sls_td}
    problems = _head_problems({'version': VERSION, 'challenge': challenge,
                               **sls})
    if problems:
        raise ValueError('; '.join(problems))
    if not path.endswith('.zip'):
        raise ValueError(f'submission {path!r} must end with .zip')
    verb, noun, known = _check_scores(narration_ids, scores, actions,
                                      num_verbs, num_nouns)
    if 'action' in scores:
        best = _best_of_head(np.where(known[:, None], scores['action'], 0),
                             actions, num_verbs, num_nouns)
    else:
        best = best_actions(verb, noun)
    head = json.dumps({'version': VERSION, 'challenge': challenge, **sls})
    packed = io.BytesIO()
    # Segment by segment: as one text it would be over 100 MB.
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive, \
            archive.open(_MEMBER, 'w', force_zip64=True) as out:
        out.write(f'{head[:-1]}, "results": {{'.encode())
        for row, name in enumerate(narration_ids):
            pairs = [f'{v},{n}' for v, n in zip(best[0][row], best[1][row])]
            text = json.dumps({name: {
                'verb': _entries(range(num_verbs), verb[row]),
                'noun': _entries(range(num_nouns), noun[row]),
                'action': _entries(pairs, best[2][row])}})
            out.write((',' * bool(row) + f'\n{text[1:-1]}').encode())
        out.write(b'}}\n')
    put(packed.getvalue(), path)
    return int((~known).sum())


def _entries(keys: Iterable, values: np.ndarray) -> dict[str, float]:
    """9 digits are enough to keep float32 apart."""
    return {str(k): float(f'{x:.9g}') for k, x in zip(keys, values.tolist())}


def _check_scores(
        narration_ids: Sequence[str], scores: Mapping[str, np.ndarray],
        actions: Optional[EpicActions], num_verbs: int,
        num_nouns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of verbs and nouns, 0 where not known, and which are."""
    if len(set(narration_ids)) < len(narration_ids):
        twice = [n for n, num in Counter(narration_ids).items() if num > 1]
        raise ValueError(f'{len(twice)} segments occur more than once, such '
                         f'as {first_names(twice)}')
    sizes = {'verb': num_verbs, 'noun': num_nouns}
    if 'action' in scores:
        if actions is None:
            raise ValueError(
                'these are scores of actions, so the list of actions is '
                'needed to tell which verb and noun each of them is')
        sizes['action'] = len(actions)
        actions.check_classes(num_verbs, num_nouns)
    known = np.ones(len(narration_ids), bool)
    for task, array in scores.items():
        if np.shape(array) != (len(narration_ids), sizes.get(task)):
            raise ValueError(f'{task} scores have shape {np.shape(array)}, '
                             f'but must have {(len(narration_ids), )} + '
                             f'{(sizes.get(task), )}')
        known &= np.isfinite(array).all(1)
    both = [scores[task] for task in ('verb', 'noun') if task in scores]
    if len(both) < 2:
        if both or 'action' not in scores:
            raise ValueError('a submission needs scores of verbs and nouns, '
                             f'but these are of {sorted(scores)}')
        both = marginal_scores(np.where(known[:, None], scores['action'], 0),
                               actions.pairs, num_verbs, num_nouns)
    verb, noun = (np.where(known[:, None], np.asarray(a, np.float64), 0)
                  for a in both)
    return verb, noun, known


def _best_of_head(scores: np.ndarray, actions: EpicActions, num_verbs: int,
                  num_nouns: int) -> tuple[np.ndarray, ...]:
    """The best actions, as :func:`best_actions` has them."""
    # As many as there must be, if need be pairs with probability 0.
    verbs, nouns = np.indices((num_verbs, num_nouns)).reshape(2, -1)
    more = np.flatnonzero(actions.index(verbs, nouns) < 0)
    more = more[:max(0, NUM_KEPT - len(actions))]
    pairs = np.append(actions.pairs, np.stack([verbs, nouns], 1)[more], 0)
    scores = np.pad(np.asarray(scores, np.float64), ((0, 0), (0, len(more))),
                    constant_values=-np.inf)
    best = np.argsort(-scores, axis=1, kind='stable')[:, :NUM_KEPT]
    probs = np.exp(np.take_along_axis(log_softmax(scores), best, 1))
    return pairs[best, 0], pairs[best, 1], probs


def validate_epic_submission(path: str, narration_ids: Sequence[str],
                             challenge: Optional[str] = None,
                             num_verbs: int = NUM_VERBS,
                             num_nouns: int = NUM_NOUNS) -> list[str]:
    """Everything that is wrong with a submission, a text each.

    Problems of the same kind are counted and shown with examples. Segments
    whose scores are all 0 or all equal are none, but there is a warning.
    ``narration_ids`` are the segments that must be there, of the list of test
    segments; the ``challenge`` is any if it is None.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.namelist() != [_MEMBER]:
                return [f'the zip must hold {_MEMBER} and nothing else, not '
                        f'in a folder; it holds {archive.namelist()}']
            content = json.loads(archive.read(_MEMBER).decode('utf-8'))
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError,
            ValueError) as e:
        return [f'{path!r} cannot be read as a zip with a file {_MEMBER}, '
                f'JSON in UTF-8: {type(e).__name__}: {e}']
    results = content.get('results') if isinstance(content, dict) else None
    if not isinstance(results, dict):
        return [f'{_MEMBER} must be an object, and its results an object with '
                'one entry a segment']
    wanted = set(narration_ids)
    kinds: dict[str, list[str]] = defaultdict(list)
    kinds['segments of the list have no result'] = sorted(
        wanted - set(results))
    kinds['results are of segments that are not in the list'] = sorted(
        set(results) - wanted)
    names = {
        'verb': set(map(str, range(num_verbs))),
        'noun': set(map(str, range(num_nouns))),
        'action': {f'{v},{n}' for v in range(num_verbs)
                   for n in range(num_nouns)}}
    for name, result in results.items():
        for task, known in names.items():
            num = min(NUM_KEPT, len(known)) if task == 'action' else len(known)
            scores = result.get(task) if isinstance(result, dict) else None
            if not isinstance(scores, dict) or len(scores) != num:
                kinds[f'{task} scores are not {num}'].append(name)
            elif not scores.keys() <= known:
                kinds[f'{task} scores have other names than the {len(known)} '
                      f'from {min(known)!r} on'].append(name)
            elif not all(type(x) in (int, float)
                         and abs(x) <= sys.float_info.max
                         for x in scores.values()):
                kinds[f'{task} scores are no finite numbers'].append(name)
    problems = _head_problems(content, challenge) + [
        f'{len(places)} {kind}: {first_names(places)}'
        for kind, places in kinds.items() if places]
    if not problems:
        _warn_of_constants(results)
    return problems


def _warn_of_constants(results: Mapping[str, Mapping[str, dict]]) -> None:
    """Warns of what is allowed but says nothing."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, result in results.items():
        if not any(any(result[task].values()) for task in ('verb', 'noun')):
            kinds['have the score 0 for all verbs and nouns'].append(name)
        elif len(result['action']) > len({*result['action'].values()}) == 1:
            kinds['have the same score for all actions'].append(name)
    for kind, names in kinds.items():
        warn(f'{len(names)} of {len(results)} segments {kind}: '
             f'{first_names(names)}')


def _head_problems(content: Mapping[str, Any],
                   challenge: Optional[str] = None) -> list[str]:
    allowed = {'version': [VERSION],
               'challenge': [challenge] if challenge else sorted(CHALLENGES),
               **dict.fromkeys(SLS_FIELDS, list(range(SLS_LIMIT + 1)))}
    problems = [
        f'{key} must be one of {values}, but is {content.get(key)!r:.40}'
        for key, values in allowed.items()
        # True is no 1 here.
        if type(content.get(key)) not in (str, int)
        or content[key] not in values]
    strange = set(content) - {*allowed, 'results'}
    return problems + [f'unknown fields {sorted(strange)}'] * bool(strange)
