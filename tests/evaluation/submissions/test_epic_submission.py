# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import logging
import re
import zipfile

import numpy as np
import pytest
from helpers.logs import logged

from mmaction_memvit.annotations.epic_lists import EpicActions
from mmaction_memvit.evaluation.submissions.epic_submission import (
    validate_epic_submission,
    write_epic_submission,
)

IDS = ['P01_101_0', 'P01_101_1', 'P33_02_10']
SLS = dict(sls_pt=2, sls_tl=3, sls_td=4)


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return {'verb': rng.normal(size=(3, 97)), 'noun': rng.normal(
        size=(3, 300))}


def load(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ['test.json']
        return json.loads(archive.read('test.json'))


@pytest.mark.parametrize('challenge', ('action_recognition',
                                       'action_anticipation'))
def test_submission(tmp_path, scores, challenge):
    path = str(tmp_path / 'sub/a.zip')
    assert write_epic_submission(path, IDS, scores, challenge, **SLS) == 0
    assert validate_epic_submission(path, IDS, challenge) == []
    content = load(path)
    results = content.pop('results')
    assert content == {'version': '0.2', 'challenge': challenge, **SLS}
    assert list(results) == IDS
    for i, result in enumerate(results.values()):
        probs = []
        for task in ('verb', 'noun'):
            values = list(result[task].values())
            assert values == pytest.approx(scores[task][i], rel=1e-8)
            assert list(result[task]) == [str(c) for c in range(len(values))]
            exps = np.exp(scores[task][i])
            probs.append(exps / exps.sum())
        product = np.outer(*probs)
        # With 100 of 300 nouns and all verbs the best pairs are the best.
        best = np.sort(product.ravel())[::-1][:100]
        assert list(result['action'].values()) == pytest.approx(best)
        for pair, value in result['action'].items():
            verb, noun = map(int, pair.split(','))
            assert value == pytest.approx(product[verb, noun])
    few = {task: array[:, :4] for task, array in scores.items()}
    size = dict(num_verbs=4, num_nouns=4)
    write_epic_submission(path, IDS, few, challenge, **SLS, **size)
    assert validate_epic_submission(path, IDS, **size) == []
    assert len(load(path)['results'][IDS[0]]['action']) == 16


def test_segments_without_scores(tmp_path, scores):
    scores['noun'][1, 5] = np.nan
    path = str(tmp_path / 'a.zip')
    assert write_epic_submission(path, IDS, scores, 'action_anticipation',
                                 **SLS) == 1
    assert validate_epic_submission(path, IDS) == []
    result = load(path)['results'][IDS[1]]
    assert set(result['verb'].values()) == set(result['noun'].values()) == {0}
    assert len(result['action']) == 100


def test_warns_of_segments_without_an_opinion(tmp_path, scores):
    scores['noun'][1, 5] = np.nan
    for array in scores.values():
        array[2] = 1.5
    path = str(tmp_path / 'a.zip')
    write_epic_submission(path, IDS, scores, 'action_recognition', **SLS)
    with logged(lambda record: (record.levelno, record.getMessage())) as said:
        assert validate_epic_submission(path, IDS) == []
    assert [level for level, _ in said] == [logging.WARNING] * 2
    for (_, text), name in zip(said, IDS[1:]):
        assert '1 of 3' in text and name in text


def test_action_head(tmp_path, scores):
    rng = np.random.default_rng(1)
    actions = EpicActions((v, n) for v in range(10) for n in range(20))
    head = rng.normal(size=(3, 200))
    path = str(tmp_path / 'a.zip')
    for given in ({'action': head}, {**scores, 'action': head}):
        write_epic_submission(path, IDS, given, 'action_recognition',
                              actions=actions, **SLS)
        assert validate_epic_submission(path, IDS) == []
        results = load(path)['results']
        best = actions.pairs[np.argsort(-head[2])[:100]]
        assert list(results[IDS[2]]['action']) == [f'{v},{n}' for v, n in best]
    assert list(results[IDS[0]]['verb'].values()) == pytest.approx(
        scores['verb'][0])
    # Of fewer actions than are to be there, others have probability 0.
    few = EpicActions(actions.pairs[::-1][:30])
    write_epic_submission(path, IDS, {'action': head[:, :30]},
                          'action_recognition', actions=few, **SLS)
    assert validate_epic_submission(path, IDS) == []
    found = list(load(path)['results'][IDS[2]]['action'].items())
    best = few.pairs[np.argsort(-head[2, :30])]
    assert [x for x, _ in found[:30]] == [f'{v},{n}' for v, n in best]
    assert [x for _, x in found[30:]] == [0] * 70
    with pytest.raises(ValueError, match='list of actions is needed'):
        write_epic_submission(path, IDS, {'action': head},
                              'action_recognition', **SLS)


def test_bad_input(tmp_path, scores):
    def write(path='a.zip', ids=IDS, scores=scores,
              challenge='action_recognition', **kwargs):
        write_epic_submission(str(tmp_path / path), ids, scores, challenge,
                              **{**SLS, **kwargs})

    for kwargs, message in (
        (dict(path='a.json'), 'must end with .zip'),
        (dict(challenge='detection'), "one of .*'detection'"),
        (dict(sls_pt=6), 'sls_pt must be .* 5.*6'),
        (dict(sls_td=-1), 'sls_td'),
        (dict(ids=[IDS[0]] * 3), '1 segments occur more than once'),
        (dict(scores={'verb': scores['verb']}), 'needs scores of verbs and'),
        (dict(scores={**scores, 'noun': scores['verb']}),
         r'noun scores have shape \(3, 97\)'),
        (dict(ids=IDS[:2]), 'verb scores have shape')):
        with pytest.raises(ValueError, match=message):
            write(**kwargs)
    assert list(tmp_path.iterdir()) == []


# -- validator --------------------------------------------------------------


@pytest.fixture
def content(tmp_path, scores):
    path = str(tmp_path / 'good.zip')
    write_epic_submission(path, IDS, scores, 'action_recognition', **SLS)
    return load(path)


def check(tmp_path, content, ids=IDS, member='test.json', **kwargs):
    path = str(tmp_path / 'a.zip')
    text = content if isinstance(content, (str, bytes)) else json.dumps(
        content)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(member, text)
    return validate_epic_submission(path, ids, **kwargs)


def change(content, where, value):
    *path, last = where
    for key in path:
        content = content[key]
    if value is None:
        del content[last]
    else:
        content[last] = value


R = ('results', IDS[1])


@pytest.mark.parametrize('where, value, message', [
    (('version', ), 0.2, r"version .*'0.2'.*is 0.2"),
    (('challenge', ), ['action_recognition'], 'challenge must be'),
    (('sls_pt', ), None, 'sls_pt must be .*5.*None'),
    (('sls_td', ), True, 'sls_td must be .*True'),
    (('team', ), 'we', 'unknown .*team'),
    (('results', ), [1], 'results'),
    (R, None, "^1 segments .* no result: 'P01_101_1'"),
    (('results', 'P99_01_0'), {}, "^1 .*not in the list: 'P99_01_0'"),
    (R, {'verb': {}}, '^1 action .*P01_101_1'),
    ((*R, 'verb', '96'), None, r'^1 verb .*97.*P01_101_1'),
    ((*R, 'noun'), [1, 2], r'^1 noun .*P01_101_1'),
    ((*R, 'noun', '7'), float('nan'), r'^1 noun .*finite'),
    ((*R, 'verb', '7'), '1.5', '^1 verb .*finite'),
    ((*R, 'verb', '7'), 10**400, '^1 verb .*finite'),
    ((*R, 'action', '0,300'), 1., r'^1 action .* 100: '),
    ((*R, 'action'), {f'{i},300': 1. for i in range(100)}, '29100'),
])
def test_problems_are_found(tmp_path, content, where, value, message):
    assert check(tmp_path, content) == []
    change(content, where, value)
    problems = check(tmp_path, content)
    assert any(re.search(message, problem) for problem in problems), problems


def test_problems_of_many_segments_are_counted(tmp_path, content):
    for result in content['results'].values():
        del result['verb']['3']
    (found, ) = check(tmp_path, content)
    assert found.startswith('3 verb scores') and 'P33_02_10' in found
    (found, ) = check(tmp_path, {**content, 'results': {}}, [],
                      challenge='action_anticipation')
    assert 'action_recognition' in found and 'action_anticipation' in found


def test_files_that_are_no_submission(tmp_path, content):
    path = tmp_path / 'a.zip'
    assert 'cannot be read' in validate_epic_submission(str(path), IDS)[0]
    path.write_text('text')
    assert 'cannot be read' in validate_epic_submission(str(path), IDS)[0]
    for bad, message, kwargs in (
        (json.dumps(content), 'test.json', dict(member='sub/test.json')),
        ('{', 'JSON', {}), (b'\xff\xfe', 'UTF-8', {}),
        ('[' * 10**6, 'JSON', {}), ('[]', 'must be an object', {})):
        problem, = check(tmp_path, bad, **kwargs)
        assert message in problem
