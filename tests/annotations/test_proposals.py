# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import pickle
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.ava import BoxTable
from mmaction_memvit.annotations.proposals import (
    count_matches,
    describe_misfit,
    pick_proposals,
    read_proposals,
    tell_left_out,
    write_proposals,
)


def dump(tmp_path, value):
    path = tmp_path / 'boxes.pkl'
    path.write_bytes(pickle.dumps(value))
    return str(path)


FOUND = {('a', 1): np.array(
             [[0, 0, .5, .5, .3], [0, 0, .6, .6, .8], [0, 0, .7, .7, .5]]),
         ('a', 2): np.array(
             [[0, 0, .5, .5, .95], [0, 0, .6, .6, .2], [0, 0, .7, .7, .9]]),
         ('a', 3): np.array([[0, 0, 1, 1.]]),
         ('b', 1): np.zeros((0, 5))}
KEYS = [('a', 2), ('a', 1), ('b', 7), ('b', 1), ('a', 3)]


def test_threshold_and_best_box():
    got = pick_proposals(FOUND, KEYS, 'x', 0.9)
    assert got.first.tolist() == [0, 2, 3, 3, 3, 4]
    np.testing.assert_allclose(got.columns['proposals'][:, 2], [.5, .7, .6, 1])
    np.testing.assert_allclose(got.columns['scores'], [.95, .9, .8, 1])
    strict = pick_proposals(FOUND, KEYS, 'x', 0.9, keep_best=False)
    assert strict.counts.tolist() == [2, 0, 0, 0, 1]
    few = pick_proposals(FOUND, KEYS, 'x', 0., max_num=2)
    assert few.counts.tolist() == [2, 2, 0, 0, 1]
    np.testing.assert_allclose(few.columns['proposals'][:2, 2], [.5, .6])
    none = pick_proposals({}, KEYS, 'x')
    assert none.at(0)['proposals'].shape == (0, 4) and not none.first.any()


def test_proposals_clipped_and_dropped(log):
    found = {('a', 1): np.array([[0, 0, 1.0005, 1, .9], [.5, 0, .5, 1, .9],
                                 [1, 0, 1.0001, 1, .9]])}
    got = pick_proposals(found, [('a', 1)], 'x')
    assert got.at(0)['proposals'].tolist() == [[0, 0, 1, 1]]
    assert [x.split(' proposals')[0] for x in log] == ['x: 2 of 3'] * 2


@pytest.mark.parametrize('value, match', [
    ([[1, 2]], 'a list'),
    ({'a': np.zeros((1, 5))}, "'a' .*'video,0902'"),
    ({'a,x': np.zeros((1, 5))}, "'a,x'"),
    ({('a', 1): np.zeros((1, 5))}, 'video,0902'),
    ({'a,1': 0, 'a,0001': 0}, '1 keyframes'),
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


@given(st.dictionaries(
    st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 20000)),
    st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5), max_size=3),
    max_size=3))
def test_what_is_written_is_read(tmp_path_factory, tables):
    path = str(tmp_path_factory.getbasetemp() / 'written/boxes.pkl')
    write_proposals(path, tables)
    found = read_proposals(path)
    assert {k: [tuple(x) for x in v.tolist()]
            for k, v in found.items()} == tables


def test_files_that_do_not_match(log):
    assert count_matches(FOUND, KEYS, 'x', 'y') == 4
    assert count_matches(FOUND, KEYS[:1] + [('c', i) for i in range(9)], 'x',
                       'y') == 1
    assert '1 of 10' in log[0]
    with pytest.raises(ValueError, match="0 of 2 .*'a,0001'.*'c,0004'"):
        count_matches(FOUND, [('c', 4), ('c', 5)], 'x', 'y')


def test_low_scores_are_counted(log):
    # The best of a keyframe stays, and boxes without score do.
    tell_left_out(FOUND, KEYS, pick_proposals(FOUND, KEYS, 'x'), 'x', 0.9)
    assert '3 of 7' in log[0] and 'person_det_score_thr=0.9' in log[0]
    tell_left_out(FOUND, KEYS, pick_proposals(FOUND, KEYS, 'x', 0.), 'x', 0.)
    assert len(log) == 1


@pytest.mark.parametrize('num, swap, few, told', [
    (40, True, False, '0 of 80'),
    (40, False, False, ''),
    (40, False, True, ''),  # one proposal for two labelled boxes
    (4, True, True, ''),  # too few to tell
])
def test_boxes_that_are_elsewhere(num, swap, few, told):
    corner = np.random.default_rng(0).uniform(0, .2, (num, 2, 2))
    boxes = np.concatenate([corner, corner + (.2, .7)], 2) + np.array(
        [[0, 0, 0, 0], [.5, 0, .5, 0]])
    found = boxes[:, :1] if few else boxes
    found = found[..., [1, 0, 3, 2]] if swap else found
    first = np.arange(num + 1) * 2
    # Where there is no label, or no proposal, nothing can be compared.
    first = np.append(first, first[-1])
    counts = [*[found.shape[1]] * num, 1]
    table = BoxTable(np.cumsum([0, *counts]), dict(
        proposals=np.append(found.reshape(-1, 4), [[0, 0, 1, 1]], 0)))
    found = describe_misfit(
        boxes.reshape(-1, 4), np.stack([first[:-1], first[1:]], 1), table,
        'boxes.pkl', 'train.csv')
    assert bool(found) == bool(told)
    if told:
        assert all(x in found for x in (told, 'boxes.pkl', 'train.csv'))


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
        with pytest.raises(FileNotFoundError, match='none.pkl.*404.*Remedy'):
            read_proposals(url + 'none.pkl')
        server.shutdown()
        thread.join()
