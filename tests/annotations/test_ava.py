# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
from collections import defaultdict

import numpy as np
import pytest
from helpers.calls import count_calls
from helpers.videos import need_shared_data
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.ava import (
    ActionBoxes,
    read_action_boxes,
    read_ava_boxes,
    read_exclusions,
    write_results_csv,
)
from mmaction_memvit.datasets import OnlineAVADataset
from mmaction_memvit.evaluation.metrics import AVADetectionMetric

TEXT = """b,2,0.1,0.2,0.3,0.4,5,7
a,0003,.5,.5,.6,.6,1,0
b,2,0.1,0.2,0.9,0.4,2,8
b,2,.10,0.20,0.3,0.40,3,9
a,1,0,0,1,1,4,1
b,2,0.1,0.2,0.3,0.4,3,7

b,0,0.1,0.2,0.3,0.4,80,7
"""


def read(tmp_path, text, **kwargs):
    path = tmp_path / 'ann.csv'
    path.write_text(text)
    return read_ava_boxes(str(path), **kwargs)


def as_dict(boxes):
    """{keyframe: {box: labels}}."""
    found = {}
    for k, key in enumerate(boxes.keys()):
        own = boxes.table.at(k)
        found[key] = {
            tuple(box): np.flatnonzero(ones).tolist() for box, ones in zip(
                own['gt_bboxes'].tolist(), boxes.unpack(own['gt_labels']))}
    return found


def test_rows_of_a_box_are_merged(tmp_path):
    table = read(tmp_path, TEXT)
    assert table.videos == ['b', 'a']
    # By video as in the file, then by time.
    assert table.keys() == [('b', 0), ('b', 2), ('a', 1), ('a', 3)]
    assert table.table.first.tolist() == [0, 1, 3, 4, 5]
    columns = table.table.columns
    # In the file's order; the person of the first row.
    np.testing.assert_array_equal(
        columns['gt_bboxes'][1:3],
        np.float32([[.1, .2, .3, .4], [.1, .2, .9, .4]]))
    assert list(as_dict(table)['b', 2].values()) == [[3, 5], [2]]
    assert columns['entity_ids'].tolist() == [7, 7, 8, 1, 0]
    assert table.skipped == {'repeated rows': 1}


def test_without_persons_and_without_boxes(tmp_path):
    text = ('a,1\n'
            'a,2,0,0,1,1,4\n'
            'a,3,,,,,,\n'
            'a,3,0,0,1,1,5,2\n'
            'c,4,,,,,\n'
            '"a",5, 0, 0, 1, 1, 6\n')
    table = read(tmp_path, text)
    assert table.keys() == [('a', 1), ('a', 2), ('a', 3), ('a', 5), ('c', 4)]
    assert table.table.counts.tolist() == [0, 1, 1, 1, 0]
    assert table.table.columns['entity_ids'].tolist() == [-1, 2, -1]
    assert table.labels.tolist() == [4, 5, 6]
    empty = read(tmp_path, 'a,1\nb,2\n')
    assert len(empty.timestamp) == 2 and not empty.table.counts.any()


def test_custom_classes(tmp_path):
    table = read(tmp_path, TEXT, custom_classes=[3, 4])
    # Boxes and keyframes without them are left out, as in MMAction2.
    assert table.keys() == [('b', 2), ('a', 1)]
    assert table.labels.tolist() == [1, 2]
    assert table.skipped['rows of classes that are not in custom_classes'] == 4
    with pytest.raises(ValueError, match='none of 7.*custom_class'):
        read(tmp_path, TEXT, custom_classes=[60])


# -- which rows are good ----------------------------------------------------

GOOD = ['v,3,.1,.1,.5,.5,2,7', 'v,0003.0,.1,.1,.5,.5,2.0',
        '"a,b",3,.1,.1,.5,.5,2,-1', 'v,3,-.0005,.1,1.0005,.5,2', 'v,3',
        'v,3,,,,,,']
BAD = [('v,3,.5,.1,.5,.5,2', '.5,.1,.5,.5'),
       ('v,3,.1,.1,1.5,.5,2', '1.5.*from 0 to 1'),
       ('v,3,10,20,110,220,2', '110.*pixels'),
       ('v,3,.1,.1,.5,y,2', '.1,.1,.5,y'),
       ('v,3,.1,.1,.5,,2', '.1,.1,.5,'),
       ('v,-3,.1,.1,.5,.5,2', '-3.*at least 0'),
       ('v,2.5,.1,.1,.5,.5,2', '2.5.*whole'),
       ('v,3,.1,.1,.5,.5,200', '200.* 1 to 80'),
       ('v,3,.1,.1,.5,.5,0', "'0'.* 1 to 80"),
       ('v,3,.1,.1,.5,.5,', "''"),
       ('v,3,.1,.1,.5,.5,stand', 'stand'),
       ('v,3,.1,.1,.5,.5,2,x', "person 'x'"),
       ('v,3,.1,.1,.5', '5 columns'),
       ('v,3,.1,.1,.5,.5,2,1,1', '9 columns'),
       (',3,.1,.1,.5,.5,2', 'video'),
       ('video_id,timestamp,x1,y1,x2,y2,action_id', "'timestamp'")]


def users(folder, **kwargs):
    """What reads annotations: data set and metric."""
    (folder / 'index.json').write_text(json.dumps({
        f'{name}.mp4': dict(num_frames=999, fps=30., width=9, height=9, size=9)
        for name in ('v', 'a,b')}))
    path = str(folder / 'ann.csv')
    yield lambda: OnlineAVADataset(
        path, [], index_file=str(folder / 'index.json'), test_mode=True,
        missing_video='unchecked', timestamp_start=0, timestamp_end=None,
        **kwargs)
    yield lambda: AVADetectionMetric(path, **kwargs)


@pytest.mark.parametrize('row', GOOD)
def test_good_rows(tmp_path, row):
    (tmp_path / 'ann.csv').write_text(f'v,2,0,0,1,1,3\n{row}\n')
    data, metric = (user() for user in users(tmp_path))
    keys = [(x['video_id'], x['timestamp']) for x in map(
        data.get_data_info, range(len(data)))]
    assert sorted(keys) == metric.truth.keys == sorted(
        [('v', 2), ('a,b' if 'a,b' in row else 'v', 3)])


@pytest.mark.parametrize('row, words', BAD)
def test_bad_rows(tmp_path, log, row, words):
    (tmp_path / 'ann.csv').write_text(
        f'v,2,0,0,1,1,3\n\n{row}\nv,5,0,0,1,1,3,4\n')
    for user in users(tmp_path):
        with pytest.raises(ValueError, match=r'(?s)ann.csv: 1 of 3 .*line 3: '
                           rf".*{words}.*Remedy: .*bad_rows='skip'"):
            user()
    data, metric = (user() for user in users(tmp_path, bad_rows='skip'))
    assert len(data) == 2 and metric.truth.keys == [('v', 2), ('v', 5)]
    assert sum('1 of 3' in x and 'line 3' in x for x in log) == 2


@pytest.mark.parametrize('row, good', [
    ('v,3,.5,.1,.5,.5,2,.5', True), ('v,3,.1,.1,1.5,.5,200,.5', True),
    ('v,3,.1,.1,1,.5,2.0,1e-3', True), ('v,3,.1,.1,2.5,.5,2,.5', False),
    ('v,-3,.1,.1,.5,.5,2,.5', False), ('v,3,.1,.1,.5,.5,2,x', False),
    ('v,3,.1,.1,.5,.5,2', False), ('v,3', False), ('v,3,,,,,,', False)])
def test_rows_of_results(write, row, good):
    path = write(f'v,3,.1,.1,.5,.5,2,.5\n{row}\n')
    if good:
        assert len(read_action_boxes(path, has_scores=True).scores) == 2
    else:
        with pytest.raises(ValueError, match='line 2'):
            read_action_boxes(path, has_scores=True)
    assert not read_action_boxes(write(''), has_scores=True).keys


def test_many_bad_rows_and_empty_files(tmp_path):
    with pytest.raises(ValueError, match='5 of 5 .*line 3.*; [.]{3}'):
        read(tmp_path, 'a,1,0,0,0,0,1\n' * 5)
    for text in ('a,1,0,0,0,0,1\n' * 5, '\n\n'):
        with pytest.raises(ValueError, match='ann.csv'):
            read(tmp_path, text, bad_rows='skip')
        with pytest.raises(ValueError, match='ann.csv'):
            read_action_boxes(str(tmp_path / 'ann.csv'), bad_rows='skip')
    with pytest.raises(FileNotFoundError, match='absent'):
        read_ava_boxes(str(tmp_path / 'absent.csv'))


def test_rounding_is_clipped_and_told(tmp_path, log):
    table = read(tmp_path, 'a,1,-0.0005,0,1.000001,1,3\na,1,0,0,1,.5,3\n')
    assert table.table.at(0)['gt_bboxes'].tolist() == [
        [0, 0, 1, 1], [0, 0, 1, .5]]
    assert list(table.skipped.values()) == [1]
    assert '1 boxes' in log[0]


# -- to be measured ---------------------------------------------------------


def test_ground_truth(write):
    table = read_action_boxes(
        write('\ufeffb,0902,0.1,0.2,0.5,0.9,12\na,1000,0,0,1.0001,1,3,77\n\n'
              'b,902.0,0.3,0.2,0.5,0.9,80,1\na,0007,,,,,\n'))
    assert table.keys == [('a', 7), ('a', 1000), ('b', 902)]
    assert table.images.tolist() == [2, 1, 2]
    assert table.labels.tolist() == [12, 3, 80]
    # The number of a person is no score; nothing is clipped.
    assert table.scores.tolist() == [1, 1, 1]
    assert table.boxes[1:].tolist() == [[0, 0, 1.0001, 1], [.3, .2, .5, .9]]


NAMES = st.text(
    st.characters(exclude_categories=['Cs'], exclude_characters='\0\r'),
    min_size=1, max_size=6).filter(lambda x: x == x.strip()) | st.sampled_from(
        ['#fails/a', 'with, comma!', 'say "hi"', 'two\nlines', '\xe9 e\u0301'])


@given(st.lists(st.tuples(
    st.tuples(NAMES, st.integers(0, 20000)),
    st.tuples(*[st.floats(-1, 2, width=32)] * 4), st.integers(1, 99),
    st.floats(-10, 10, width=32)), max_size=5))
def test_what_is_written_is_read(tmp_path_factory, rows):
    keys = sorted({row[0] for row in rows})
    found = ActionBoxes(
        keys, np.asarray([keys.index(row[0]) for row in rows], np.int64),
        *(np.asarray([row[k] for row in rows], kind).reshape(shape)
          for k, kind, shape in ((1, np.float32, (-1, 4)), (2, np.int64, -1),
                                 (3, np.float32, -1))))
    path = str(tmp_path_factory.getbasetemp() / 'written/results.csv')
    write_results_csv(path, found)
    again = read_action_boxes(path, has_scores=True)
    assert again.keys == keys
    for name in ('images', 'boxes', 'labels', 'scores'):
        assert getattr(again, name).dtype == getattr(found, name).dtype
        np.testing.assert_array_equal(
            getattr(again, name), getattr(found, name))


def test_mmaction2_reads_them_alike(tmp_path):
    from mmaction.evaluation.functional.ava_utils import read_csv
    path = str(tmp_path / 'results.csv')
    with pytest.raises(ValueError, match="' x'.*Remedy"):
        write_results_csv(path, ActionBoxes(
            [(' x', 7)], np.zeros(1, int), np.zeros((1, 4)), np.array([5]),
            np.array([.1])))
    write_results_csv(path,
                      ActionBoxes([('a', 3)], np.zeros(1, int),
                                  np.array([[.125, .25, .5, 1]]),
                                  np.array([4]), np.array([.75])))
    boxes, labels, scores = read_csv(open(path))
    assert boxes == {'a,0003': [(.25, .125, 1., .5)]}
    assert labels == {'a,0003': [4]} and scores == {'a,0003': [.75]}


def test_exclusions(write):
    assert read_exclusions(write('\ufeffa,0902\nb,1000\n')) == {
        ('a', 902), ('b', 1000)}
    assert read_exclusions(write('')) == set()
    for text in ('a,1\nb\n', 'a,1\nb,x\n', 'a,1\nb,1,2\n'):
        with pytest.raises(ValueError, match='line 2'):
            read_exclusions(write(text))


# -- real files -------------------------------------------------------------


def test_real_annotations():
    folder = need_shared_data('ava')
    path = folder / 'ava_train_21videos_pose14.csv'
    table, calls = count_calls(
        lambda: read_ava_boxes(str(path), timestamp_range=(902, 1798)))
    # For cells that are no numbers, of which there is one column at most.
    assert calls < 2 * 26119
    assert (len(table.videos), len(table.timestamp),
            table.table.counts.sum(), len(table.labels)) == (
                21, 15183, 26118, 26119)
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
    truth = read_action_boxes(str(path))
    assert truth.keys == sorted(table.keys()) and len(truth.labels) == 26119
