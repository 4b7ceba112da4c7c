# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pickle
import re

import numpy as np
import pytest
from helpers.tools import tool_fixture
from helpers.videos import need_shared_data

from mmaction_memvit.annotations.proposals import read_proposals

tool = tool_fixture('tools/data/ava/convert_person_boxes.py')


def run(tool, tmp_path, text, *args):
    source, out = tmp_path / 'boxes.csv', tmp_path / 'sub/boxes.pkl'
    source.write_text(text)
    code = tool.main([str(source), str(out), *args])
    return code, pickle.loads(out.read_bytes()) if out.exists() else None


def test_forms_of_rows(tool, tmp_path, capsys):
    code, found = run(
        tool, tmp_path, 'b,0903,0.1,0.2,0.3,0.4,,0.9\n'
        'a,12,0.1,0.2,0.3,0.4,0.8\n\n'
        'b,903,0.5,0.2,0.6,0.4,,0.95\n'
        'a,1.0, 0.1, 0.2, 0.3, 0.4\n'
        # One row a label.
        'c,7,0.1,0.2,0.3,0.4,12,0.9\nc,7,0.1,0.2,0.3,0.4,80,0.7\n')
    assert code == 0
    assert list(found) == ['a,0001', 'a,0012', 'b,0903', 'c,0007']
    assert all(t.dtype == np.float32 for t in found.values())
    np.testing.assert_allclose(
        found['b,0903'],
        [[.1, .2, .3, .4, .9], [.5, .2, .6, .4, .95]], rtol=1e-6)
    assert found['a,0001'][0, 4] == 1 and len(found['c,0007']) == 1
    np.testing.assert_allclose(found['c,0007'][0, 4], 0.9)
    text = capsys.readouterr().out
    assert '5 boxes on 4 keyframes of 3 videos' in text
    assert '1 to 2, 1.25 on average' in text
    assert 'at least 0.9: 4 boxes (80.0%) on 3 keyframes' in text
    assert 'merged: 1 of 6' in text
    assert read_proposals(str(tmp_path / 'sub/boxes.pkl'))


@pytest.mark.parametrize('names', ['', ',score', ',label,score'])
def test_names_of_columns(tool, tmp_path, names):
    row = {'': '', ',score': ',0.9', ',label,score': ',,0.9'}[names]
    code, found = run(tool, tmp_path, f'video,timestamp,x1,y1,x2,y2{names}\n'
                      f'a,3,0.1,0.2,0.3,0.4{row}\n')
    assert code == 0
    np.testing.assert_allclose(
        found['a,0003'], [[.1, .2, .3, .4, .9 if row else 1]], rtol=1e-6)


@pytest.mark.parametrize('names', [
    'video,time,x1,y1,x2,y2,score', 'video,timestamp,y1,x1,y2,x2,score',
    'video,timestamp,x1,y1,x2,y2,label'])
def test_other_columns(tool, tmp_path, capsys, names):
    row = 'a,3,0.1,0.2,0.3,0.4,0.9'
    assert run(tool, tmp_path, f'{names}\n{row}\n', '--skip-bad-rows') == (
        2, None)
    assert names in capsys.readouterr().err


def test_boxes_that_are_clipped_or_left_out(tool, tmp_path, capsys):
    code, found = run(
        tool, tmp_path, 'a,1,-0.005,0,1.009,1,,0.9\na,1,0,0,1,1,,0.2\n'
        'a,1,0.5,0,0.5,1,,0.9\n', '--min-score', '0.5')
    assert code == 0
    np.testing.assert_allclose(found['a,0001'], [[0, 0, 1, 1, .9]])
    text = capsys.readouterr().out
    assert 'clipped at the border of the image: 1 of 3' in text
    assert 'without area, left out: 1 of 3' in text
    assert 'below --min-score 0.5, left out: 1 of 3' in text


@pytest.mark.parametrize('row, match', [
    ('a,1,0,0,1', '5 columns'),
    # Names stand in the first line, and in this order.
    ('video,timestamp,x1,y1,x2,y2,label,score', "'timestamp'"),
    ('a,1,0,0,100,200,,1', 'leaves the image.*--image-size'),
    ('a,1,0,0,x,1,,1', '0,0,x,1'),
    ('a,1,0,0,1,1,12,3', "'3' is not from 0 to 1"),
    ('a,1,0,0,1,1,,', "score ''"),
])
def test_bad_rows(tool, tmp_path, capsys, row, match):
    text = f'a,1,0,0,1,1,,0.9\n{row}\n'
    assert run(tool, tmp_path, text) == (2, None)
    errors = capsys.readouterr().err
    assert 'boxes.csv: ' in errors and 'line 2: ' in errors
    assert '--skip-bad-rows' in errors
    assert re.search(match, errors)
    code, found = run(tool, tmp_path, text, '--skip-bad-rows')
    assert code == 0 and found['a,0001'].shape == (1, 5)
    assert 'bad rows, left out: 1 of 2' in capsys.readouterr().out


def test_pixels(tool, tmp_path):
    code, found = run(tool, tmp_path, 'a,1,0,20,50,40,,1\n', '--image-size',
                      '100', '80')
    assert code == 0
    np.testing.assert_allclose(found['a,0001'], [[0, .25, .5, .5, 1]])


def test_real_file(tool, tmp_path, capsys):
    source = need_shared_data('ava') / 'ava_val_predicted_boxes_head.csv'
    out = tmp_path / 'boxes.pkl'
    assert tool.main([str(source), str(out)]) == 0
    assert '24 boxes on 14 keyframes of 1 videos' in capsys.readouterr().out
    found = pickle.loads(out.read_bytes())
    np.testing.assert_allclose(
        found['1j20qq1JyX4,0904'],
        [[0.043, 0.052, 0.953, 0.974, 0.999670],
         [0.821, 0.456, 0.986, 0.931, 0.050167]], rtol=1e-6)
