# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.epic import write_official, write_text

from mmaction_memvit.evaluation.epic_dump import write_epic_dump
from mmaction_memvit.evaluation.epic_truth import EpicTruth
from mmaction_memvit.evaluation.metrics import EpicRecognitionMetric

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
SIZES = ('--num-verbs', '4', '--num-nouns', '5')
ROWS = [(f'P0{1 + i % 2}_01_{i}', i, i + 2, i % 4, i % 5) for i in range(12)]


def load_tool(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def tool():
    return load_tool(TOOLS / 'analysis_tools/eval_epic_dump.py')


@pytest.fixture(scope='module')
def validator():
    return load_tool(TOOLS / 'data/epic100/validate_submission.py')


@pytest.fixture
def root(tmp_path):
    write_official(tmp_path / 'val.csv', ROWS)
    write_official(tmp_path / 'test.csv', [row[:3] for row in ROWS])
    write_text(tmp_path / 'EPIC_100_tail_verbs.csv', 'verb', '3')
    write_text(tmp_path / 'EPIC_100_tail_nouns.csv', 'noun', '1')
    write_text(
        tmp_path / 'EPIC_100_unseen_participant_ids_validation.csv',
        'participant_id', 'P02')
    rng = np.random.default_rng(0)
    scores = {'verb': rng.normal(size=(12, 4)).astype(np.float32),
              'noun': rng.normal(size=(12, 5)).astype(np.float32)}
    write_epic_dump(str(tmp_path / 'dump.npz'), [r[0] for r in ROWS], scores)
    # In another order, in the other form.
    write_epic_dump(str(tmp_path / 'dump.pkl'),
                    [r[0] for r in ROWS][::-1],
                    {t: s[::-1] for t, s in scores.items()})
    return tmp_path


@pytest.mark.parametrize('name', ('dump.npz', 'dump.pkl'))
@pytest.mark.parametrize('challenge', ('action_recognition',
                                       'action_anticipation'))
def test_measures(tool, root, capsys, name, challenge):
    code = tool.main([
        str(root / name), str(root / 'val.csv'), challenge, '--ann-root',
        str(root), '--out', str(root / 'out.json'), *SIZES])
    assert code == 0
    got = json.loads((root / 'out.json').read_text())
    scores = dict(np.load(root / 'dump.npz'))
    scores.pop('narration_id')
    want = EpicTruth(
        str(root / 'val.csv'), str(root / 'EPIC_100_tail_verbs.csv'),
        str(root / 'EPIC_100_tail_nouns.csv'),
        str(root / 'EPIC_100_unseen_participant_ids_validation.csv'),
        num_verbs=4, num_nouns=5).measure(challenge, scores)
    assert got == want
    text = capsys.readouterr().out
    assert '12 segments, in per cent' in text and '\ntail ' in text


def test_a_dump_gives_what_the_metric_gave(tool, root):
    metric = EpicRecognitionMetric(
        str(root / 'val.csv'), num_verbs=4, num_nouns=5,
        dump_file=str(root / 'own.npz'))
    rng = np.random.default_rng(1)
    metric.process(None, [{
        'narration_id': row[0],
        'pred_score': {'verb': rng.normal(size=(3, 4)),
                       'noun': rng.normal(size=(3, 5))}
    } for row in ROWS])
    want = metric.evaluate(12)
    assert tool.main([str(root / 'own.npz'), str(root / 'val.csv'),
                      'action_recognition', '--out', str(root / 'out.json'),
                      *SIZES]) == 0
    got = json.loads((root / 'out.json').read_text())
    assert {f'epic/{k}': v for k, v in got.items()} == want


def test_submission(tool, validator, root, capsys):
    args = [str(root / 'dump.npz'), str(root / 'test.csv'),
            'action_anticipation', '--submission', str(root / 'sub.zip'),
            *SIZES]
    with pytest.raises(SystemExit):
        tool.main(args)
    assert '--sls PT TL TD' in capsys.readouterr().err
    assert tool.main([*args, '--sls', '1', '2', '3']) == 0
    text = capsys.readouterr().out
    assert 'no labels' in text and '12 segments, 0 of them' in text
    check = [str(root / 'sub.zip'), str(root / 'test.csv'), *SIZES]
    assert validator.main(check) == 0
    assert 'in order, 12 segments' in capsys.readouterr().out
    assert validator.main([*check, '--challenge', 'action_recognition']) == 1
    assert "not 'action_recognition'" in capsys.readouterr().out
    write_official(root / 'test.csv', [row[:3] for row in ROWS[1:]])
    assert validator.main(check) == 1
    assert '1 results are of segments that are not in the list: P01_01_0' in (
        capsys.readouterr().out)
    assert validator.main([str(root / 'sub.zip'), str(root / 'no.csv')]) == 2
    assert 'no.csv' in capsys.readouterr().err
    assert tool.main([*args, '--sls', '1', '2', '9']) == 2


def test_missing_segments(tool, root, capsys):
    args = [str(root / 'dump.npz'), str(root / 'val.csv'),
            'action_recognition', '--out', str(root / 'out.json'), *SIZES]
    write_official(root / 'val.csv', [*ROWS, ('P01_01_90', 0, 1, 0, 0)])
    assert tool.main(args) == 2
    assert "'P01_01_90'" in capsys.readouterr().err
    results = {}
    for how, text in (('miss', 'count as missed'), ('leave_out', 'left out')):
        assert tool.main([*args, '--missing', how]) == 0
        assert text in capsys.readouterr().out
        results[how] = json.loads((root / 'out.json').read_text())
    assert results['miss']['verb_top5'] == 12 / 13
    assert results['leave_out']['verb_top5'] == 1
    # A submission needs them all.
    assert tool.main([*args, '--missing', 'leave_out', '--submission',
                      str(root / 'sub.zip'), '--sls', '0', '0', '0']) == 1
    assert '1 segments of the list have no result' in capsys.readouterr().out


@pytest.mark.parametrize('change, message', [
    (dict(sizes=('--num-verbs', '4')), 'of 5 classes of noun, but there are '
     '300'),
    (dict(rows=ROWS[:-1]), '1 segments of .* are not in .*P02_01_11'),
    (dict(dump='absent.npz'), 'absent.npz'),
])
def test_errors(tool, root, capsys, change, message):
    if 'rows' in change:
        write_official(root / 'val.csv', change['rows'])
    code = tool.main([
        str(root / change.get('dump', 'dump.npz')), str(root / 'val.csv'),
        'action_recognition', *change.get('sizes', SIZES)])
    assert code == 2
    assert re.search(message, capsys.readouterr().err)


def test_dump_of_actions(tool, root, capsys):
    actions = write_text(root / 'actions.csv', 'id,verb,noun', '0,0,0',
                         '1,1,1', '2,3,3')
    scores = np.zeros((12, 3))
    scores[:, 0] = 1
    write_epic_dump(str(root / 'a.npz'), [r[0] for r in ROWS],
                    {'action': scores})
    args = [str(root / 'a.npz'), str(root / 'val.csv'), 'action_recognition',
            *SIZES, '--out', str(root / 'out.json')]
    assert tool.main(args) == 2
    assert '--actions' in capsys.readouterr().err
    assert tool.main([*args, '--actions', actions]) == 0
    # Segment 0 alone has verb 0 with noun 0.
    assert json.loads((root / 'out.json').read_text())['action_top1'] == 1 / 12


def test_command_line(root):
    result = subprocess.run(
        [
            sys.executable, str(TOOLS / 'analysis_tools/eval_epic_dump.py'),
            str(root / 'dump.npz'), str(root / 'val.csv'),
            'action_recognition', *SIZES
        ],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(TOOLS.parent)},
        timeout=120)
    assert result.returncode == 0, result.stderr
    assert 'action top1' in result.stdout
