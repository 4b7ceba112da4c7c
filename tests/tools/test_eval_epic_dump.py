# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import zipfile

import numpy as np
import pytest
from helpers.epic import write_official, write_text
from helpers.tools import tool_fixture

from mmaction_memvit.annotations.epic_lists import EpicActions
from mmaction_memvit.evaluation.submissions.epic_dump import (
    read_epic_dump,
    write_epic_dump,
)
from mmaction_memvit.evaluation.submissions.epic_truth import EpicTruth

tool = tool_fixture('tools/analysis_tools/eval_epic_dump.py')
validator = tool_fixture('tools/data/epic100/validate_submission.py')
SIZES = ('--num-verbs', '4', '--num-nouns', '5')
ROWS = [(f'P0{1 + i % 2}_01_{i}', i, i + 2, i % 4, i % 5) for i in range(12)]


@pytest.fixture
def root(tmp_path):
    write_official(tmp_path / 'val.csv', ROWS)
    write_official(tmp_path / 'test.csv', [row[:3] for row in ROWS])
    write_text(tmp_path / 'EPIC_100_tail_verbs.csv', 'verb', '3')
    write_text(tmp_path / 'EPIC_100_tail_nouns.csv', 'noun', '1')
    write_text(tmp_path / 'EPIC_100_unseen_participant_ids_validation.csv',
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


def test_submission(tool, validator, root, capsys):
    args = [str(root / 'dump.npz'), str(root / 'test.csv'),
            'action_anticipation', '--submission', str(root / 'sub.zip'),
            *SIZES]
    with pytest.raises(SystemExit):
        tool.main(args)
    assert '--sls PT TL TD' in capsys.readouterr().err
    assert tool.main([*args, '--sls', '1', '2', '3']) == 0
    text = capsys.readouterr().out
    assert '12 segments, 0 of them' in text
    check = [str(root / 'sub.zip'), str(root / 'test.csv'), *SIZES]
    assert validator.main(check) == 0
    assert 'in order, 12 segments' in capsys.readouterr().out
    assert validator.main([*check, '--challenge', 'action_recognition']) == 1
    assert "is 'action_anticipation'" in capsys.readouterr().out
    write_official(root / 'test.csv', [row[:3] for row in ROWS[1:]])
    assert validator.main(check) == 1
    assert "1 results are of segments that are not in the list: 'P01" in (
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
    for how in ('miss', 'leave_out'):
        assert tool.main([*args, '--missing', how]) == 0
        results[how] = json.loads((root / 'out.json').read_text())
    assert results['miss']['verb_top5'] == 12 / 13
    assert results['leave_out']['verb_top5'] == 1
    # A submission needs them all.
    assert tool.main([*args, '--missing', 'leave_out', '--submission',
                      str(root / 'sub.zip'), '--sls', '0', '0', '0']) == 1
    assert '1 segments of the list have no result' in capsys.readouterr().out


def test_submission_has_segments_without_times(tool, validator, root, capsys):
    rows = [row[:3] for row in ROWS]
    rows.insert(3, ('P01_01_91', None, None))
    write_official(root / 'test.csv', [*rows, ('P02_01_92', 5, None)])
    files = [str(root / 'test.csv'), *SIZES]
    args = [str(root / 'dump.npz'), *files[:1], 'action_recognition', *SIZES,
            '--submission', str(root / 'sub.zip'), '--sls', '0', '0', '0']
    assert tool.main(args) == 0
    assert '14 segments, 2 of them without scores (all 0), 0 problems' in (
        capsys.readouterr().out)
    assert validator.main([str(root / 'sub.zip'), *files]) == 0
    with zipfile.ZipFile(root / 'sub.zip') as archive:
        results = json.loads(archive.read('test.json'))['results']
    assert list(results)[3] == 'P01_01_91'
    assert set(results['P01_01_91']['verb'].values()) == {0}
    # The others have their own scores.
    dump = np.load(root / 'dump.npz')
    for name, verb in zip(dump['narration_id'], dump['verb']):
        assert list(results[str(name)]['verb'].values()) == pytest.approx(
            verb.tolist(), rel=1e-6)


def test_reversed_times(tool, validator, root, capsys):
    rows = [(r[0], r[2], r[1], *r[3:]) if i == 4 else r
            for i, r in enumerate(ROWS)]
    write_official(root / 'val.csv', rows)
    args = [str(root / 'dump.npz'), str(root / 'val.csv'),
            'action_recognition', *SIZES]
    assert tool.main(args) == 2
    assert "reversed_times='skip' or 'swap'" in capsys.readouterr().err
    submission = ['--submission', str(root / 'sub.zip'), '--sls', '0', '0',
                  '0']
    assert tool.main([*args, '--reversed-times', 'swap', *submission]) == 0
    # Left out in the evaluation, it has to be in the submission.
    dump = dict(np.load(root / 'dump.npz'))
    keep = np.arange(12) != 4
    write_epic_dump(str(root / 'few.npz'),
                    [str(n) for n in dump['narration_id'][keep]],
                    {t: dump[t][keep] for t in ('verb', 'noun')})
    args[0] = str(root / 'few.npz')
    assert tool.main([*args, '--reversed-times', 'skip', *submission]) == 0
    text = capsys.readouterr().out
    assert '1 of them without' in text
    assert validator.main([str(root / 'sub.zip'), str(root / 'val.csv'),
                           *SIZES]) == 0


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
    pairs = EpicActions([(0, 0), (1, 1), (3, 3)])
    for given, more in ((None, ['--actions', actions]), (pairs, [])):
        (root / 'out.json').unlink(missing_ok=True)
        write_epic_dump(args[0], [r[0] for r in ROWS], {'action': scores},
                        given)
        assert tool.main([*args, *more]) == 0
        # Segment 0 alone has verb 0 with noun 0.
        assert json.loads(
            (root / 'out.json').read_text())['action_top1'] == 1 / 12
    write_epic_dump(args[0], [r[0] for r in ROWS], {'action': scores},
                    EpicActions([(1, 1), (0, 0), (3, 3)]))
    assert tool.main([*args, '--actions', actions]) == 2
    assert 'action 0 ' in capsys.readouterr().err


@pytest.mark.parametrize('name', ('own.npz', 'own.pkl'))
def test_scores_of_another_task(tool, root, capsys, name):
    _, scores = read_epic_dump(str(root / 'dump.npz'))
    path, segments = str(root / name), str(root / 'test.csv')
    submission = ('--submission', str(root / 'sub.zip'), '--sls', *'012')
    both = 'action_recognition', 'action_anticipation'
    for own, other in (both, both[::-1]):
        write_epic_dump(path, [r[0] for r in ROWS], scores, None, own,
                        1. if own == both[1] else None)
        assert tool.main([path, segments, other, *submission, *SIZES]) == 2
        assert own in capsys.readouterr().err
        assert not (root / 'sub.zip').exists()
        assert tool.main([path, segments, own, *submission, *SIZES]) == 0
        (root / 'sub.zip').unlink()
