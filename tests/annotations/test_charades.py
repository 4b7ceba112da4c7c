# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from helpers.charades import write_list
from helpers.videos import need_shared_data

from mmaction_memvit.annotations.charades import read_charades


@pytest.mark.parametrize('name, num, empty, reversed_actions', [
    ('Charades_v1_train.csv', 7985, 174, 7),
    ('Charades_v1_test_min.csv', 1863, 49, 0)])
def test_official_lists(name, num, empty, reversed_actions, log):
    path = need_shared_data('charades') / name
    rows = read_charades(str(path))
    assert len(rows) == len({row.video_id for row in rows}) == num
    assert sum(not len(row.classes) for row in rows) == empty
    assert set(np.concatenate([r.classes for r in rows])) == set(range(157))
    broken = sum(int(np.isnan(row.times).any(1).sum()) for row in rows)
    assert broken == reversed_actions
    if broken:
        assert len(log) == 1 and '7 actions' in log[0]
        skipped = read_charades(str(path), reversed_times='skip')
        assert sum(len(r.classes) for r in rows) - sum(
            len(r.classes) for r in skipped) == 7
        with pytest.raises(ValueError, match=(
                r"train.csv:\d+: action 'c\d\d\d .*"
                "reversed_times='keep'")):
            read_charades(str(path), reversed_times='error')
    else:
        assert log == []


@pytest.mark.parametrize('row, words', [
    (('B', 'c157 0.00 1.00', 2), ["list.csv:3: action 'c157 0.00 1.00' of "
                                  "video 'B'", 'c000 to c156', 'num_classes']),
    (('B', 'x012 0.00 1.00', 2), [':3:', 'x012', 'malformed']),
    (('B', 'c012 0.00', 2), [':3:', 'malformed', 'semicolons']),
    (('B', 'c012 0.00 nan', 2), [':3:', 'malformed']),
    (('B', 'c012 0.00 1.00;c001 3.00 4.10', 2), [
        "'c001 3.00 4.10'", '4.1 s', 'at most 4 s', 'time_tolerance']),
    (('B', 'c012 -1.00 1.00', 2), [':3:', 'negative']),
    (('B', '', 'long'), [':3:', "length 'long' of video 'B'", 'above 0']),
    (('', '', 2), [':3:', 'id is empty']),
    (('A', '', 2), [':3:', "'A' is listed before, on line 2"]),
    (('B', 'c012 0.00 1.00,c001 0.00 1.00', 2), [
        ':3: 6 fields', 'names 5', 'double quotes']),
])
def test_bad_rows(tmp_path, row, words):
    path = write_list(tmp_path / 'list.csv', [('A', '', 2.), row])
    with pytest.raises(ValueError) as error:
        read_charades(path)
    for word in words:
        assert word in str(error.value)


def test_rounded_times_and_line_breaks_in_fields(tmp_path):
    text = 'id,script,actions,length\nA,"one\ntwo",c001 0.00 3.90,2\n' \
        'B,x,c001 0.00 4.10,2\n'
    (tmp_path / 'list.csv').write_text('\ufeff' + text)
    with pytest.raises(ValueError, match=r'list.csv:4: .*4.10.* 4 s are'):
        read_charades(str(tmp_path / 'list.csv'))
    row, _ = read_charades(str(tmp_path / 'list.csv'), time_tolerance=2.5)
    assert row.times.tolist() == [[0, 3.9]]
