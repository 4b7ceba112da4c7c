# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest
from helpers.tools import tool_fixture

tool = tool_fixture('tools/analysis_tools/eval_ava_csv.py')


@pytest.fixture
def evaluate(tool, tmp_path, capsys):
    """Run the tool; returns the means and what it prints."""
    (tmp_path / 'truth.csv').write_text('a,0001,0.1,0.1,0.5,0.9,1,7\n'
                                        'a,0002,0.1,0.1,0.5,0.9,2,7\n'
                                        'a,0003,0.1,0.1,0.5,0.9,2,7\n')
    (tmp_path / 'labels.pbtxt').write_text(
        'item { name: "stand" id: 1 } item { name: "sit still" id: 2 }')
    (tmp_path / 'excluded.csv').write_text('a,0002\n')
    # Right, right and excluded, one too many on a keyframe without truth.
    (tmp_path / 'results.csv').write_text('a,0001,0.1,0.1,0.5,0.8,1,0.5\n'
                                          'a,0002,0.1,0.1,0.5,0.8,2,0.5\n'
                                          'a,0003,0.1,0.1,0.5,0.8,2,0.5\n'
                                          'a,0009,0.1,0.1,0.5,0.8,1,0.9\n')

    def run(*args, results='results.csv'):
        scores = tool.main([
            str(tmp_path / results), '--ann-file', str(tmp_path / 'truth.csv'),
            *(str(tmp_path / x) if x.endswith(('.csv', '.pbtxt')) else x
              for x in args)])
        return scores, capsys.readouterr().out

    return run


def test_table_and_means(evaluate):
    scores, out = evaluate('--label-file', 'labels.pbtxt', '--exclude-file',
                           'excluded.csv')
    # MMAction2 counts the ground truth on excluded timestamps as missed.
    assert scores == dict(
        overall=.75, overall_mmaction2=.75, overall_official=.75)
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ['1', 'stand', '1', '2', '1.0000', '0.5000']
    assert lines[2] == ['2', 'sit', 'still', '1', '1', '0.5000', '1.0000']
    assert 'mAP/overall_official: 0.7500' in out
    assert 'WARNING' not in out and 'NOTE' not in out


def test_options(evaluate):
    scores, out = evaluate('--classes', '1')
    assert scores['overall_official'] == .5
    assert scores['overall_mmaction2'] == 1
    assert evaluate('--iou-thr', '0.9')[0]['overall'] == 0


def test_errors(evaluate, tmp_path):
    (tmp_path / 'other.csv').write_text('b,0001,0.1,0.1,0.5,0.8,1,0.5\n')
    with pytest.raises(SystemExit, match='None of the 1 '):
        evaluate(results='other.csv')
    with pytest.raises(SystemExit, match=r'\[7\].*truth.csv'):
        evaluate('--classes', '1', '7')
    with pytest.raises(SystemExit, match='seven.csv.*line 1: 7 '):
        (tmp_path / 'seven.csv').write_text('a,0001,0.1,0.1,0.5,0.8,1\n')
        evaluate(results='seven.csv')
    with pytest.raises(SystemExit, match='absent.csv'):
        evaluate(results='absent.csv')
