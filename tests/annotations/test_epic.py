# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from helpers.epic import write_official, write_text
from helpers.told import warnings_once
from helpers.videos import need_shared_data
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.epic import (
    parse_timestamp,
    read_epic_segments,
)
from mmaction_memvit.annotations.epic_lists import (
    EpicActions,
    build_epic_actions,
    load_epic_actions,
    read_epic_actions,
    read_epic_classes,
    read_epic_participants,
    read_epic_tail,
    read_epic_video_info,
    unlike_actions,
)

ROWS = [('P01_11_0', 4.5, 6.25, 3, 7),
        ('P02_03_0', 0, 1, 96, 299),
        ('P01_11_1', 0.14, 3723.99, 0, 2),
        ('P01_11_2', 2, 3, 3, 7)]


# -- times ------------------------------------------------------------------


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59),
       st.from_regex(r'[0-9]{1,6}', fullmatch=True))
def test_timestamps_are_exact(hours, minutes, seconds, decimals):
    exact = (hours * 3600 + minutes * 60 + seconds
             + Fraction(int(decimals), 10**len(decimals)))
    text = f'{hours:02}:{minutes:02}:{seconds:02}.{decimals}'
    assert parse_timestamp(text) == float(exact)
    assert parse_timestamp(text.split('.')[0]) == exact // 1


@pytest.mark.parametrize(
    'text', ['1.5', '00:61:00', '-1:00:00', '00:00:1', '00:00:01,5'])
def test_bad_timestamps(text):
    with pytest.raises(ValueError, match='HH:MM:SS'):
        parse_timestamp(text)


# -- lists of segments ------------------------------------------------------


def test_official_list(tmp_path, log):
    table = read_epic_segments(write_official(tmp_path / 'a.csv', ROWS))
    assert len(table) == 4 and table.labelled
    assert table.narration_ids == tuple(row[0] for row in ROWS)
    assert table.starts.tolist() == [row[1] for row in ROWS]
    assert table.stops.tolist() == [row[2] for row in ROWS]
    assert table.verbs.tolist() == [3, 96, 0, 3]
    assert table.nouns.tolist() == [7, 299, 2, 7]
    assert table.actions.tolist() == [-1] * 4
    assert table.participant_ids == ('P01', 'P02', 'P01', 'P01')
    assert list(table.rows_by_video) == ['P01_11', 'P02_03']
    assert table.rows_of('P01_11').tolist() == [2, 3, 0]
    assert table.rows_of('P09_99').tolist() == []
    assert table.rows_by_id['P01_11_2'] == 3
    assert table.is_unseen(['P02']).tolist() == [False, True, False, False]
    tail = table.is_tail([0], [299])
    assert {task: mask.tolist() for task, mask in tail.items()} == {
        'verb': [False, False, True, False],
        'noun': [False, True, False, False],
        'action': [False, True, True, False]}
    assert table.counts('verb', 97).nonzero()[0].tolist() == [0, 3, 96]
    assert table.counts('noun', 300)[7] == 2
    assert table.counts('action', 5).sum() == 0
    bare = read_epic_segments(write_official(
        tmp_path / 'b.csv', [row[:3] for row in ROWS],
        drop=['participant_id']))
    assert not bare.labelled and bare.verbs.tolist() == [-1] * 4
    assert bare.participant_ids == table.participant_ids
    # Two begin while the long one goes on.
    assert table.report == {
        'rows': 4, 'unknown video': 0, 'missing times': 0, 'zero length': 0,
        'stop before start': 0, 'overlapping': 2}
    assert '4 of 4 segments, 2 videos, 2 ' in log[0]


def test_list_of_frame_numbers(tmp_path):
    path = write_text(tmp_path / 'a.csv', 'P01_01_0,P01_01,4,101,3,3,1',
                      'P01_01_1,P01_01,131,185,6,114,0')
    table = read_epic_segments(path)
    assert table.starts.tolist() == [4 / 30, 131 / 30]
    assert table.stops.tolist() == [101 / 30, 185 / 30]
    assert table.verbs.tolist() == [3, 6]
    assert table.nouns.tolist() == [3, 114]
    assert table.actions.tolist() == [1, 0]
    assert table.participant_ids == ('P01', 'P01')
    assert read_epic_segments(path, fps=60).starts.tolist() == [4 / 60,
                                                                131 / 60]
    actions = EpicActions([(6, 114), (3, 3)])
    assert table.with_actions(actions).actions.tolist() == [1, 0]
    with pytest.raises(ValueError, match='P01_01_0.* 1, .* 0; 2 seg'):
        table.with_actions(EpicActions([(3, 3), (6, 114)]))
    path = write_text(tmp_path / 'b.csv', 'P01_01_0,P01_01,4,101')
    assert not read_epic_segments(path).labelled


@pytest.mark.parametrize('option, row, key, actions, message', [
    ('missing_times', ('P01_01_9', None, 2, 1, 1), 'missing times',
     ('skip', 'keep', 'error'), 'without start or stop'),
    ('missing_times', ('P01_01_9', 1, None, 1, 1), 'missing times',
     ('skip', 'keep', 'error'), 'without start or stop'),
    ('zero_length', ('P01_01_9', 2, 2, 1, 1), 'zero length',
     ('keep', 'skip', 'error'), 'stopping where they start'),
    ('reversed_times', ('P01_01_9', 3, 2, 1, 1), 'stop before start',
     ('error', 'skip', 'swap'), 'stopping before they start'),
    ('unknown_video', ('P09_01_9', 2, 3, 1, 1), 'unknown video',
     ('error', 'skip'), 'not in the video list'),
])
def test_odd_segments(tmp_path, log, option, row, key, actions, message):
    path = write_official(tmp_path / 'a.csv', [*ROWS, row])
    videos = {'P01_11': 1, 'P02_03': 1, 'P01_01': 1}
    for action in (None, *actions):
        log.clear()
        kwargs = {} if action is None else {option: action}
        # The first is what happens by default.
        action = action or actions[0]
        if action == 'error':
            with pytest.raises(ValueError, match=f'1 segments {message}.*'
                               f'{row[0]}.*Remedy'):
                read_epic_segments(path, videos=videos, **kwargs)
            continue
        table = read_epic_segments(path, videos=videos, **kwargs)
        assert table.report[key] == 1 and table.report['rows'] == 5
        assert len(table) == (4 if action == 'skip' else 5)
        assert (row[0] in table.rows_by_id) == (action != 'skip')
        assert f'1 segments {message}' in log[0] and row[0] in log[0]
        if action == 'swap':
            assert (table.starts[4], table.stops[4]) == (2, 3)
    with pytest.raises(ValueError, match=f"{option}='perhaps'"):
        read_epic_segments(path, **{option: 'perhaps'})


def test_overlap_is_with_any_earlier_segment(tmp_path):
    rows = [('P01_01_0', 0, 10, 1, 1), ('P01_01_1', 2, 3, 1, 1),
            ('P01_01_2', 4, 5, 1, 1), ('P01_01_3', 10, 11, 1, 1),
            ('P02_01_0', 1, 2, 1, 1), ('P01_01_4', 12, None, 1, 1)]
    path = write_official(tmp_path / 'a.csv', rows)
    table = read_epic_segments(path, missing_times='keep')
    assert table.count_overlapping() == table.report['overlapping'] == 2
    # Those without times come last.
    assert table.rows_of('P01_01').tolist() == [0, 1, 2, 3, 5]
    assert table.select([4, 0]).narration_ids == ('P02_01_0', 'P01_01_0')


HEAD = 'narration_id,video_id,start_timestamp,stop_timestamp'
INFO = 'video_id,duration,fps,resolution'


@pytest.mark.parametrize('read, lines, words', [
    (read_epic_segments, ['P01_01_0,P01_01,4,101,3'], ':1: 5 fields'),
    (read_epic_segments, ['a,P01_01,4,101', 'b,P01_01,x,101'],
     ":2.*'b': frame 'x'"),
    (read_epic_segments, ['narration_id,start_timestamp'],
     "'video_id', 'stop_timestamp'.*P01_01_0,P01_01,4,101"),
    (read_epic_segments, [f'{HEAD},verb_class'], "'noun_class'"),
    (read_epic_segments, [HEAD, 'a,P01_01,12.5,00:00:13'], ":2: .*'a'.*12.5"),
    (read_epic_segments, [HEAD, 'a,P01_01,00:00:12'], ':2: 3 fields'),
    (read_epic_segments, [HEAD, *['a,P01_01,00:00:12,00:00:13'] * 2],
     "1 narration ids .* 'a'"),
    (read_epic_segments, ['a,P01_01,4,101,97,0'], ":1.*'97'.* 0 to 96.*verbs"),
    (read_epic_segments, ['a,P01_01,4,101,0,300'], "'300'.* 0 to 299.*nouns"),
    (read_epic_segments, ['a,P01_01,4,101,take,0'],
     "column 5 'take'.*num_verbs"),
    (read_epic_segments, [], 'empty'),
    (read_epic_actions, ['id,verb,noun', '1,3,7', '2,0,2'], 'ids of 2 '),
    (read_epic_actions, ['id,verb,noun', '1,3,7', '0,3,7'], r'\(3, 7\)'),
    (read_epic_classes, ['id,key', '0,take', '2,put'], r'0 to 1, .*; \[1\]'),
    (read_epic_classes, ['id,name', '0,take'], ":1: .*'key'"),
    (partial(read_epic_tail, num_classes=12), ['verb', '12'],
     ":2: .*'12'.* 0 to 11"),
    (read_epic_tail, ['12', '10'], "'verb' or 'noun'.*'12'"),
    (read_epic_video_info, [INFO, 'a,12.5,0,1920x1080'], "'a' has duration"),
    (read_epic_video_info, [INFO, 'a,x,50,1920x1080'], "'a' has duration"),
    (read_epic_video_info, [INFO, 'a,12.5,50,1920'], "'a' has duration"),
    (read_epic_video_info, [INFO, *['a,12.5,50,19x10'] * 2], "'a' .* twice"),
])
def test_bad_lists(tmp_path, read, lines, words):
    with pytest.raises(ValueError, match=f'a.csv.*{words}'):
        read(write_text(tmp_path / 'a.csv', *lines))


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.csv'):
        read_epic_segments(str(tmp_path / 'absent.csv'))
    with pytest.raises(ValueError, match='Remedy: take that of the same name'):
        read_epic_segments('EPIC_100_train.pkl')
    path = write_official(tmp_path / 'a.csv', [('P01_01_5', 0, 1, 150, 304)])
    assert len(read_epic_segments(path, num_verbs=200, num_nouns=305)) == 1


# -- actions and class lists ------------------------------------------------


def test_actions(tmp_path, monkeypatch):
    train = read_epic_segments(write_official(tmp_path / 'a.csv', ROWS))
    val = read_epic_segments(
        write_official(tmp_path / 'b.csv', [('P01_12_0', 0, 1, 10, 2),
                                            ('P01_12_1', 0, 1, 10, 10),
                                            ('P01_12_2', 0, 1, 1, 2)]))
    actions = build_epic_actions(train, val)
    # By text, as in actions.csv.
    assert actions.pairs.tolist() == [[0, 2], [10, 10], [10, 2], [1, 2],
                                      [3, 7], [96, 299]]
    assert train.with_actions(actions).actions.tolist() == [4, 5, 0, 4]
    told = warnings_once(monkeypatch)
    few = build_epic_actions(train)
    assert val.with_actions(few).actions.tolist() == [-1] * 3
    assert len(told) == 1 and '3 of 3 ' in told[0] and 'P01_12_0' in told[0]
    assert val.with_actions(actions).actions.tolist() == [2, 1, 3]
    assert train.with_actions(few).actions.tolist() == [1, 2, 0, 1]
    assert len(told) == 1
    assert unlike_actions(actions.pairs, actions.pairs.tolist()) == ''
    assert '6 actions, not 3' in unlike_actions(actions.pairs, few.pairs)
    assert 'action 4 is (verb, noun) (96, 299), not (3, 7)' in unlike_actions(
        actions.pairs[[0, 1, 2, 3, 5, 4]], actions.pairs)
    actions.check_classes(97, 300)
    for sizes in ((96, 300), (97, 299)):
        with pytest.raises(ValueError, match=r'\(96, 299\).*num_verbs'):
            actions.check_classes(*sizes)
    assert actions.index([-1, 3, 96, 500], [2, 7, 500, 0]).tolist() == [
        -1, 4, -1, -1]
    paths = [str(tmp_path / 'a.csv'), str(tmp_path / 'b.csv')]
    assert (load_epic_actions(paths).pairs == actions.pairs).all()
    assert len(load_epic_actions(paths[0])) == 3
    path = write_text(tmp_path / 'actions.csv', 'id,verb,noun,action',
                      '1,3,7,open oven', '0,0,2,take plate')
    for read in map(load_epic_actions, (path, [path])):
        assert read.pairs.tolist() == [[0, 2], [3, 7]] and len(read) == 2
    with pytest.raises(ValueError, match='0 actions'):
        build_epic_actions()


def test_lists_beside_the_segments(tmp_path):
    def path(*lines):
        return write_text(tmp_path / 'a.csv', *lines)

    assert read_epic_classes(path(
        'id,key,instances', '1,put,"[put, lay]"', '0,take,x')) == (
            'take', 'put')
    assert read_epic_tail(path('verb', '12', '10')).tolist() == [10, 12]
    assert read_epic_participants(path('participant_id', 'P18', 'P32')) == (
        'P18', 'P32')
    assert read_epic_video_info(path(INFO, 'P01_01,12.5,59.94,1920x1080')) == {
        'P01_01': (12.5, 59.94, 1920, 1080)}


# -- real data --------------------------------------------------------------


@pytest.fixture(scope='module')
def real():
    folder = need_shared_data('epic100')
    train = read_epic_segments(str(folder / 'rulstm_training.csv'))
    val = read_epic_segments(str(folder / 'EPIC_100_validation.csv'))
    return folder, train, val


def test_real_classes(real):
    folder, train, val = real
    assert (len(train), len(val)) == (67217, 9668)
    assert (len(train.rows_by_video), len(val.rows_by_video)) == (495, 138)
    assert len(read_epic_classes(str(folder / 'EPIC_100_verb_classes.csv'))
               ) == 97
    nouns = read_epic_classes(str(folder / 'EPIC_100_noun_classes.csv'))
    more = read_epic_classes(str(folder / 'EPIC_100_noun_classes_v2.csv'))
    assert len(nouns) == 300 and more[:300] == nouns
    actions = build_epic_actions(train, val)
    assert len(actions) == 3806
    listed = read_epic_actions(str(folder / 'actions.csv'))
    assert np.array_equal(actions.pairs, listed.pairs)
    # The list of training segments has action numbers of its own.
    assert np.array_equal(train.with_actions(listed).actions, train.actions)
    known = build_epic_actions(train).index(val.verbs, val.nouns) >= 0
    assert (~known).sum() == 372


def test_real_subsets(real):
    folder, _, val = real
    unseen = val.is_unseen(read_epic_participants(
        str(folder / 'EPIC_100_unseen_participant_ids_validation.csv')))
    assert unseen.sum() == 1065
    tail_verbs = read_epic_tail(str(folder / 'EPIC_100_tail_verbs.csv'), 97)
    tail_nouns = read_epic_tail(str(folder / 'EPIC_100_tail_nouns.csv'), 300)
    assert (len(tail_verbs), len(tail_nouns)) == (86, 228)
    tail = val.is_tail(tail_verbs, tail_nouns)
    assert {task: int(mask.sum()) for task, mask in tail.items()} == {
        'verb': 1760, 'noun': 1900, 'action': 3105}


def test_real_lists_agree(real):
    folder, train, val = real
    videos = read_epic_video_info(str(folder / 'EPIC_100_video_info.csv'))
    assert len(videos) == 700
    official = read_epic_segments(
        str(folder / 'EPIC_100_uda_source_train.csv'), videos=videos)
    rows = [train.rows_by_id[name] for name in official.narration_ids]
    assert np.array_equal(train.verbs[rows], official.verbs)
    assert np.array_equal(train.nouns[rows], official.nouns)
    # Frames at 30 a second are cut off, not rounded.
    assert np.abs(official.starts - train.starts[rows]).max() < 1.01 / 30
    test = read_epic_segments(
        str(folder / 'EPIC_100_test_timestamps.csv'), videos=videos)
    assert len(test) == 13092 and not test.labelled
    durations = val.stops - val.starts
    assert np.median(durations) == pytest.approx(1.96, abs=0.005)
    assert durations.mean() == pytest.approx(3.68, abs=0.005)


def test_actions_are_read_once_and_anew_if_they_change(tmp_path):
    path = tmp_path / 'actions.csv'
    path.write_text('id,verb,noun\n0,1,2\n')
    actions = load_epic_actions(str(path))
    assert load_epic_actions([str(path)]) is actions
    path.write_text('id,verb,noun\n0,3,4\n')
    os.utime(path, (0, 0))
    assert load_epic_actions(str(path)).pairs.tolist() == [[3, 4]]
