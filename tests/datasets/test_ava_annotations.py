# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import pickle
import threading
import time
from collections import defaultdict
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest
from helpers.videos import need_shared_data
from mmengine.logging import MMLogger

from mmaction_memvit.datasets.ava_annotations import (
    count_matches,
    pick_proposals,
    read_ava_boxes,
    read_exclusions,
    read_label_map,
    read_proposals,
)

TEXT = """b,2,0.1,0.2,0.3,0.4,5,7
a,0003,.5,.5,.6,.6,1,0
b,2,0.1,0.2,0.9,0.4,2,8
b,2,.10,0.20,0.3,0.40,3,9
a,1,0,0,1,1,4,1
b,2,0.1,0.2,0.3,0.4,3,7

b,0,0.1,0.2,0.3,0.4,80,7
"""


@pytest.fixture
def log(tmp_path):
    name = f'test_{tmp_path.name}'
    path = tmp_path / 'log.txt'
    logger = MMLogger.get_instance(name, log_file=str(path), log_level='INFO')
    yield path.read_text
    for handler in list(logger.handlers):
        handler.close()
    MMLogger._instance_dict.pop(name)


def read(tmp_path, text, **kwargs):
    path = tmp_path / 'ann.csv'
    path.write_text(text)
    return read_ava_boxes(str(path), **kwargs)


def as_dict(table):
    """{keyframe: {box: labels}}."""
    found = {}
    for k, key in enumerate(table.keys()):
        found[key] = {
            tuple(table.boxes[b].tolist()):
            table.labels[table.first_label[b]:table.first_label[b +
                                                                1]].tolist()
            for b in range(table.first_box[k], table.first_box[k + 1])
        }
    return found


def test_rows_of_a_box_are_merged(tmp_path):
    table = read(tmp_path, TEXT)
    assert table.videos == ['b', 'a']
    # By video as in the file, then by time.
    assert table.keys() == [('b', 0), ('b', 2), ('a', 1), ('a', 3)]
    assert table.first_box.tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(
        table.boxes[1:3], np.float32([[.1, .2, .3, .4], [.1, .2, .9, .4]]))
    # In the file's order, each label once; the person of the first row.
    assert list(as_dict(table)['b', 2].values()) == [[5, 3], [2]]
    assert table.persons.tolist() == [7, 7, 8, 1, 0]
    assert table.skipped == {'repeated rows': 1}
    assert (table.boxes.dtype, table.labels.dtype) == (np.float32, np.int16)


def test_byte_order_mark(tmp_path):
    """Excel's 'CSV UTF-8' begins with one."""
    for text in (TEXT, TEXT.replace('b,2', '"b",2')):
        table = read(tmp_path, '\ufeff' + text)
        assert table.videos == ['b', 'a']
        assert as_dict(table) == as_dict(read(tmp_path, text))
    exclusions = tmp_path / 'excluded.csv'
    exclusions.write_text('\ufeffa,0902\nb,1000\n')
    assert read_exclusions(str(exclusions)) == {('a', 902), ('b', 1000)}
    names = tmp_path / 'map.pbtxt'
    names.write_text('\ufeffitem {\n  name: "run"\n  id: 2\n}\n')
    assert read_label_map(str(names)) == {2: 'run'}


def test_without_persons_and_without_boxes(tmp_path):
    text = ('a,1\n'
            'a,2,0,0,1,1,4\n'
            'a,3,,,,,,\n'
            'a,3,0,0,1,1,5,2\n'
            'c,4,,,,,\n'
            '"a",5, 0, 0, 1, 1, 6\n')
    table = read(tmp_path, text)
    assert table.keys() == [('a', 1), ('a', 2), ('a', 3), ('a', 5), ('c', 4)]
    assert np.diff(table.first_box).tolist() == [0, 1, 1, 1, 0]
    assert table.persons.tolist() == [-1, 2, -1]
    assert table.labels.tolist() == [4, 5, 6]
    empty = read(tmp_path, 'a,1\nb,2\n')
    assert empty.num_keyframes == 2 and empty.boxes.shape == (0, 4)


def test_custom_classes(tmp_path):
    table = read(tmp_path, TEXT, custom_classes=[3, 4])
    # Boxes and keyframes without them are left out, as in MMAction2.
    assert table.keys() == [('b', 2), ('a', 1)]
    assert table.labels.tolist() == [1, 2]
    assert table.skipped[
        'rows of classes that are not in custom_classes'] == 4
    with pytest.raises(ValueError, match='none of the 7 rows.*custom_class'):
        read(tmp_path, TEXT, custom_classes=[60])


@pytest.mark.parametrize('row, match', [
    ('a,2,0,0,1', 'has 5 columns.*7 or 8'),
    ('a,2,0,0,1,1,3,4,5', 'has 9 columns'),
    (',2,0,0,1,1,3', 'no name of a video'),
    ('a,2.5,0,0,1,1,3', r"timestamp '2.5' is no whole number"),
    ('a,x,0,0,1,1,3', "timestamp 'x'"),
    ('a,-2,0,0,1,1,3', "timestamp '-2'"),
    ('a,1,0,0,1,1,3', 'timestamp 1 is before timestamp_start=2'),
    ('a,9,0,0,1,1,3', 'timestamp 9 is after timestamp_end=8'),
    ('a,2,0,0,1,y,3', 'box 0,0,1,y is no four numbers'),
    ('a,2,0,0,1,,3', 'no four numbers'),
    ('a,2,0,0,1,nan,3', 'no four numbers'),
    ('a,2,0,0,1,inf,3', 'no four numbers'),
    ('a,2,0,0,1,1.01,3', 'box 0,0,1,1.01 leaves the image'),
    ('a,2,-.1,0,1,1,3', 'leaves the image'),
    ('a,2,10,20,110,220,3', 'leaves the image.*divide pixels'),
    ('a,2,.5,0,.5,1,3', 'box .5,0,.5,1 has no area: x1 < x2'),
    ('a,2,0,.6,1,.5,3', 'no area'),
    ('a,2,0,0,1,1,81', "action '81' is no class from 1 to 80"),
    ('a,2,0,0,1,1,0', "action '0'"),
    ('a,2,0,0,1,1,-1', "action '-1'"),
    ('a,2,0,0,1,1,', "action ''"),
    ('a,2,0,0,1,1,stand', "action 'stand'"),
    ('a,2,0,0,1,1,3,me', "person 'me' is no whole number"),
    ('video_id,timestamp,x1,y1,x2,y2,action_id', "timestamp 'timestamp'"),
])
def test_bad_rows(tmp_path, log, row, match):
    good = 'a,2,0,0,1,1,3\n\n'
    limits = dict(timestamp_range=(2, 8))
    with pytest.raises(
            ValueError,
            match=r"(?s)1 of 3 rows of '.*ann\.csv' are bad: line 3: .*"
            rf"{match}.*Remedy: .*bad_rows='skip'"):
        read(tmp_path, f'{good}{row}\na,3,0,0,1,1,3,4\n', **limits)
    table = read(
        tmp_path, f'{good}{row}\na,3,0,0,1,1,3,4\n', bad_rows='skip', **limits)
    assert table.keys() == [('a', 2), ('a', 3)]
    assert table.skipped == {'bad rows': 1}
    assert '1 of 3 rows' in log() and 'They are left out' in log()


def test_many_bad_rows_and_empty_files(tmp_path):
    with pytest.raises(ValueError, match='5 of 5 rows .*line 3.*; [.]{3}'):
        read(tmp_path, 'a,1,0,0,0,0,1\n' * 5)
    with pytest.raises(ValueError, match='none of the 5 rows .*bad rows'):
        read(tmp_path, 'a,1,0,0,0,0,1\n' * 5, bad_rows='skip')
    with pytest.raises(ValueError, match='holds no row'):
        read(tmp_path, '\n\n')
    with pytest.raises(FileNotFoundError, match='absent'):
        read_ava_boxes(str(tmp_path / 'absent.csv'))


def test_rounding_is_clipped_and_told(tmp_path, log):
    table = read(tmp_path, 'a,1,-0.0005,0,1.000001,1,3\na,1,0,0,1,.5,3\n')
    assert table.boxes.tolist() == [[0, 0, 1, 1], [0, 0, 1, .5]]
    assert list(table.skipped.values()) == [1]
    assert '1 boxes leave the image by rounding' in log()


# -- proposals --------------------------------------------------------------


def dump(tmp_path, value):
    path = tmp_path / 'boxes.pkl'
    path.write_bytes(pickle.dumps(value))
    return str(path)


FOUND = {
    ('a', 1): np.array([[0, 0, .5, .5, .3], [0, 0, .6, .6, .8],
                        [0, 0, .7, .7, .5]]),
    ('a', 2): np.array([[0, 0, .5, .5, .95], [0, 0, .6, .6, .2],
                        [0, 0, .7, .7, .9]]),
    ('a', 3): np.array([[0, 0, 1, 1.]]),
    ('b', 1): np.zeros((0, 5)),
}
KEYS = [('a', 2), ('a', 1), ('b', 7), ('b', 1), ('a', 3)]


def test_threshold_and_best_box():
    got = pick_proposals(FOUND, KEYS, 'x', 0.9)
    assert got.first_box.tolist() == [0, 2, 3, 3, 3, 4]
    np.testing.assert_allclose(got.boxes[:, 2], [.5, .7, .6, 1])
    np.testing.assert_allclose(got.scores, [.95, .9, .8, 1])
    strict = pick_proposals(FOUND, KEYS, 'x', 0.9, keep_best=False)
    assert np.diff(strict.first_box).tolist() == [2, 0, 0, 0, 1]
    few = pick_proposals(FOUND, KEYS, 'x', 0., max_num=2)
    assert np.diff(few.first_box).tolist() == [2, 2, 0, 0, 1]
    np.testing.assert_allclose(few.boxes[:2, 2], [.5, .6])
    none = pick_proposals({}, KEYS, 'x')
    assert none.boxes.shape == (0, 4) and not none.first_box.any()


def test_proposals_clipped_and_dropped(log):
    found = {('a', 1): np.array([[0, 0, 1.0005, 1, .9], [.5, 0, .5, 1, .9],
                                 [1, 0, 1.0001, 1, .9]])}
    got = pick_proposals(found, [('a', 1)], 'x')
    assert got.boxes.tolist() == [[0, 0, 1, 1]]
    assert '2 of 3 proposals leave the image by rounding' in log()
    assert '2 of 3 proposals have no area and are dropped' in log()


@pytest.mark.parametrize('value, match', [
    ([[1, 2]], 'holds a list'),
    ({'a': np.zeros((1, 5))}, "the key 'a', which is not of the form"),
    ({'a,x': np.zeros((1, 5))}, "the key 'a,x'"),
    ({('a', 1): np.zeros((1, 5))}, 'the key'),
    ({'a,1': 0, 'a,0001': 0}, '1 keyframes twice'),
])
def test_proposals_of_another_form(tmp_path, value, match):
    with pytest.raises(ValueError, match=f'boxes.pkl.*{match}.*Remedy.*conv'):
        read_proposals(dump(tmp_path, value))


@pytest.mark.parametrize('value, match', [
    (np.zeros((2, 6)), r"'a,0001' holds an array of shape \(2, 6\)"),
    (np.zeros(5), r'of shape \(5,\)'),
    (np.array([['a'] * 5]), 'type <U1'),
    (np.array([[0, 0, 100, 200, .9]]), "100.*'a,0001'.*divide pixels"),
    (np.array([[0, 0, 1, 1, np.nan]]), 'leave the image'),
])
def test_boxes_of_another_form(value, match):
    with pytest.raises(ValueError, match=match):
        pick_proposals({('a', 1): value}, [('a', 1)], 'x')


def test_reading_proposals(tmp_path):
    table = np.ones((1, 5), np.float32)
    got = read_proposals(dump(tmp_path, {'a,b,0902': table, 'c,7': table}))
    assert set(got) == {('a,b', 902), ('c', 7)}
    (tmp_path / 'text.pkl').write_text('a,b')
    with pytest.raises(ValueError, match='cannot be unpickled'):
        read_proposals(str(tmp_path / 'text.pkl'))


def test_files_that_do_not_match(log):
    assert count_matches(FOUND, KEYS, 'x', 'y') == 4
    assert count_matches(FOUND, KEYS[:1] + [('c', i) for i in range(9)], 'x',
                       'y') == 1
    assert 'boxes for 1 of 10 keyframes' in log()
    with pytest.raises(ValueError, match="0 of 2 .*'a,0001'.*'c,0004'"):
        count_matches(FOUND, [('c', 4), ('c', 5)], 'x', 'y')


# -- real files -------------------------------------------------------------


def test_real_annotations():
    folder = need_shared_data('ava')
    path = folder / 'ava_train_21videos_pose14.csv'
    start = time.perf_counter()
    table = read_ava_boxes(str(path), timestamp_range=(902, 1798))
    # Takes 0.15 s.
    assert time.perf_counter() - start < 5
    assert (len(table.videos), table.num_keyframes, len(table.boxes),
            len(table.labels)) == (21, 15183, 26118, 26119)
    assert (table.labels.min(), table.labels.max()) == (1, 14)
    assert table.skipped == {}
    want = defaultdict(dict)
    for line in path.read_text().splitlines():
        row = line.split(',')
        box = tuple(np.float32(row[2:6]).tolist())
        want[row[0], int(row[1])].setdefault(box, []).append(int(row[6]))
    assert as_dict(table) == want
    excluded = read_exclusions(
        str(folder / 'ava_train_excluded_timestamps_v2.2.csv'))
    assert len(excluded) == 161
    assert not excluded & set(table.keys())


@pytest.mark.parametrize('name, num', [
    ('ava_action_list_v2.2.pbtxt', 80),
    ('ava_action_list_v2.2_for_activitynet_2019.pbtxt', 60)])
def test_real_label_maps(name, num):
    names = read_label_map(str(need_shared_data('ava') / name))
    assert len(names) == num and max(names) == 80
    assert names[1] == 'bend/bow (at the waist)' and names[12] == 'stand'


def test_a_missing_proposal_file_is_named(tmp_path):
    with pytest.raises(
            FileNotFoundError, match="'.*none.pkl' does not.*Remedy: make"):
        read_proposals(str(tmp_path / 'none.pkl'))


def test_proposals_of_a_web_server(tmp_path, monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    path = dump(tmp_path, {'a,0902': np.ones((1, 5), np.float32)})
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with HTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f'http://127.0.0.1:{server.server_port}/'
        assert set(read_proposals(url + os.path.basename(path))) == {
            ('a', 902)}
        with pytest.raises(
                FileNotFoundError, match='none.pkl.*fetched.*404.*Remedy'):
            read_proposals(url + 'none.pkl')
        server.shutdown()
        thread.join()
