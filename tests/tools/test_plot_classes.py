# Copyright (c) mmaction_memvit contributors. All rights reserved.

import cv2
import pytest
from helpers.epic import write_official, write_text
from helpers.tools import tool_fixture

pytest.importorskip('matplotlib')
tool = tool_fixture('tools/data/epic100/plot_classes.py')


@pytest.fixture
def root(tmp_path):
    write_official(tmp_path / 'train.csv', [
        (f'P01_01_{i}', i, i + 1, 0 if i < 6 else 2, i % 2) for i in range(8)])
    write_official(tmp_path / 'val.csv', [('P02_01_0', 0, 1, 2, 3)])
    write_text(tmp_path / 'EPIC_100_verb_classes.csv', 'id,key', '0,take',
               '1,put', '2,wash')
    write_text(tmp_path / 'EPIC_100_noun_classes.csv', 'id,key', '0,tap',
               '1,cup', '2,pan', '3,lid')
    write_text(tmp_path / 'EPIC_100_tail_verbs.csv', 'verb', '2')
    write_text(tmp_path / 'EPIC_100_tail_nouns.csv', 'noun', '3', '2')
    return tmp_path


def run(tool, root, *args, lists=('train.csv', 'val.csv')):
    return tool.main([*(str(root / name) for name in lists), '--out',
                      str(root / 'sub/a.png'), '--num-verbs', '3',
                      '--num-nouns', '4', *args])


def test_plot(tool, root, capsys):
    assert run(tool, root, '--ann-root', str(root)) == 0
    text = capsys.readouterr().out
    assert ("verb: 2 of 3 classes occur, 9 segments; most frequent 'take' "
            '(6), 0 occur once, 33.3% of segments are of 1 rare') in text
    assert ("noun: 3 of 4 classes occur, 9 segments; most frequent 'tap' "
            '(4), 1 occur once, 11.1% of segments are of 2 rare') in text
    assert ("action: 5 of 5 classes occur, 9 segments; most frequent 'take "
            "tap' (3), 3 occur once, 33.3% of segments are of 3 rare") in text
    image = cv2.imread(str(root / 'sub/a.png'))
    colors = {tuple(int(color[i:i + 2], 16) for i in (5, 3, 1))
              for color in (tool.HEAD, tool.TAIL)}
    assert colors <= set(map(tuple, image.reshape(-1, 3).tolist()))


def test_errors(tool, root, capsys):
    write_official(root / 'test.csv', [('P02_01_0', 0, 1)])
    assert run(tool, root, lists=('test.csv', )) == 2
    assert 'test.csv has no labels' in capsys.readouterr().err
    assert run(tool, root, lists=('absent.csv', )) == 2
    assert run(tool, root, '--ann-root', str(root), '--num-nouns', '5') == 2
    assert 'names of 4 nouns, but --num-nouns is 5' in capsys.readouterr().err
