# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from helpers.videos import need_shared_data

from mmaction_memvit.evaluation.functional import (
    ActionBoxes,
    image_key,
    read_ava_csv,
    read_exclusions,
    read_label_map,
    write_label_map,
    write_results_csv,
)


@pytest.fixture
def write(tmp_path):

    def run(text, name='file.csv'):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return run


def test_ground_truth_of_seven_and_eight_columns(write):
    table = read_ava_csv(
        write('b,0902,0.1,0.2,0.5,0.9,12\n'
              'a,1000,0,0,1,1,3,77\n'
              '\n'
              'b,902.0,0.3,0.2,0.5,0.9,80,1\n'))
    assert table.keys == [('a', 1000), ('b', 902)]
    assert table.images.tolist() == [1, 0, 1]
    assert table.labels.tolist() == [12, 3, 80]
    # The number of a person is no score.
    assert table.scores.tolist() == [1, 1, 1]
    assert table.boxes[2].tolist() == [.3, .2, .5, .9]


def test_results_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    keys = [('plain', 7), ('with, comma!', 902), ('with, comma!', 12345),
            ('x', 1)]
    boxes = rng.random((5, 4)).astype(np.float32)
    boxes[0] = 1e-7, 0, 1, 1 / 3
    # Boxes of the same place on two keyframes in a row.
    boxes[3] = boxes[2]
    found = ActionBoxes(keys, np.repeat([0, 0, 1, 2, 3], 3),
                        np.repeat(boxes, 3, 0), np.tile([5, 1, 2], 5),
                        rng.random(15).astype(np.float32))
    path = str(tmp_path / 'new' / 'results.csv')
    write_results_csv(path, found)
    again = read_ava_csv(path, has_scores=True)
    assert [again.keys[i] for i in again.images
            ] == [keys[i] for i in found.images]
    for name in ('boxes', 'labels', 'scores'):
        assert getattr(again, name).dtype == getattr(found, name).dtype
        np.testing.assert_array_equal(
            getattr(again, name), getattr(found, name))
    first, *_, last = open(path).read().splitlines()
    assert first.startswith('plain,0007,1e-07,0.0,1.0,0.33333334,5,')
    assert last.startswith('x,0001,')


def test_mmaction2_reads_them_alike(tmp_path):
    from mmaction.evaluation.functional.ava_utils import read_csv
    path = str(tmp_path / 'results.csv')
    write_results_csv(
        path,
        ActionBoxes([('a', 3)], np.zeros(1, int),
                    np.array([[.125, .25, .5, 1]]), np.array([4]),
                    np.array([.75])))
    boxes, labels, scores = read_csv(open(path))
    assert boxes == {'a,0003': [(.25, .125, 1., .5)]}
    assert labels == {'a,0003': [4]} and scores == {'a,0003': [.75]}


def test_keyframes_without_a_box(write):
    table = read_ava_csv(
        write('b,5,.1,.1,.5,.5,3\nb,6\na,0007,,,,,\na,8,,,,,,\n'))
    assert table.keys == [('a', 7), ('a', 8), ('b', 5), ('b', 6)]
    assert table.images.tolist() == [2]


@pytest.mark.parametrize('text,results,message', [
    ('', False, 'has no row'),
    ('a,1,0,0,1,1\n', False, "line 1, 'a,1,0,0,1,1': 6 columns"),
    ('a,1,0,0,1,1,1\n', True, '7 columns.*action_id,score'),
    ('a,1\n', True, '2 columns'),
    ('a,1,0,0,1,1,1,1\na,1,0,0,1,1,1,1,1\n', False,
     '1 of 2 rows of .* line 2, .*9 columns'),
    ('video,timestamp,x1,y1,x2,y2,id\n', False, 'without a line of headings'),
    ('a,1.5,0,0,1,1,1\n', False, 'timestamp 1.5 is no whole number'),
    ('a,inf,0,0,1,1,1\n', False, 'timestamp inf is no whole number'),
    ('a,1,0,0,1,1,\n', False, 'line 1'),
    ('a,1,0,0,1,1,1\na,1,12,8,200,140,1\n', False,
     '1 of 2 rows.*line 2.*shares'),
    ('a,1,.5,0,.4,1,1\n', False, 'x1 <= x2'),
    ('a,1,nan,0,.4,1,1,1\n', True, 'shares'),
])
def test_bad_rows(write, text, results, message):
    with pytest.raises(ValueError, match=message):
        read_ava_csv(write(text), results)


def test_bad_rows_are_skipped_if_asked(write, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmaction_memvit.evaluation.functional.ava_csv.print_log',
        lambda text, logger, level: lines.append(text))
    bad = 'x,1\nx,1,.5,0,.4,1,1\nx,2,0,0,1\n'
    table = read_ava_csv(write(bad + 'a,1,.5,0,.9,1,1\n'), bad_rows='skip')
    assert table.keys == [('a', 1), ('x', 1)]
    assert len(table.images) == 1
    line, = lines
    assert '2 of 4 rows' in line and 'line 2' in line and 'line 3' in line
    with pytest.raises(ValueError, match='has no row'):
        read_ava_csv(write('a,1,.5,0,.4,1,1\n'), bad_rows='skip')
    with pytest.raises(ValueError, match="is 'drop'"):
        read_ava_csv(write(''), bad_rows='drop')


def test_results_without_a_row(write):
    table = read_ava_csv(write(''), has_scores=True)
    assert table.keys == [] and table.boxes.shape == (0, 4)


def test_exclusions(write):
    assert read_exclusions(write('a,0902\nb,1000\n')) == {('a', 902),
                                                          ('b', 1000)}
    assert read_exclusions(write('')) == set()
    with pytest.raises(ValueError, match='line 2.*must be video,timestamp'):
        read_exclusions(write('a,1\nb\n'))


def test_label_maps_of_both_forms(write):
    both = [
        'item {\n  name: "answer phone"\n  id: 11\n}\n'
        'item { id: 2 name: "say \\"hi\\" {loudly}" }\n',
        'label {\n\tname: "answer phone"\n\tlabel_id: 11\n'
        '\tlabel_type: PERSON_MOVEMENT\n}\n'
        'label {name: "say \\"hi\\" {loudly}" label_id: 2}',
    ]
    for text in both:
        names = read_label_map(write(text))
        assert list(names.items()) == [(2, 'say "hi" {loudly}'),
                                       (11, 'answer phone')]


@pytest.mark.parametrize('text,message', [
    ('1 stand\n2 sit\n', 'has no entry'),
    ('item {\n id: 1\n}', "lacks its name or id: 'id: 1'"),
    ('item { name: "a" id: 1 } item { name: "b" id: 1 }', 'id 1 .* twice'),
    ('item { name: "a" id: 0 }', 'id 0 .* at least 1'),
])
def test_wrong_label_maps(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_label_map(write(text))


def test_written_label_map(tmp_path):
    names = {1: 'stand', 3: 'say "hi" {loudly}', 4: 'back\\slash'}
    write_label_map(str(tmp_path / 'sub/label_map.pbtxt'), names)
    assert read_label_map(str(tmp_path / 'sub/label_map.pbtxt')) == names


def test_written_label_map_is_read_by_mmaction(tmp_path):
    evaluation = pytest.importorskip('mmaction.evaluation')
    path = tmp_path / 'label_map.pbtxt'
    write_label_map(str(path), {1: 'red disk', 2: 'green square'})
    with open(path) as f:
        labelmap, ids = evaluation.read_labelmap(f)
    assert ids == {1, 2}
    assert labelmap[0] == {'id': 1, 'name': 'red disk'}


def test_image_key():
    assert image_key('1j20qq1JyX4', 902) == '1j20qq1JyX4,0902'


def test_files_of_ava():
    folder = need_shared_data('ava')
    table = read_ava_csv(str(folder / 'ava_train_21videos_pose14.csv'))
    assert len({video for video, _ in table.keys}) == 21
    assert set(table.labels.tolist()) <= set(range(1, 15))
    full = read_label_map(str(folder / 'ava_action_list_v2.2.pbtxt'))
    assert list(full) == list(range(1, 81))
    evaluated = read_label_map(
        str(folder / 'ava_action_list_v2.2_for_activitynet_2019.pbtxt'))
    assert len(evaluated) == 60 and evaluated.items() <= full.items()
    excluded = read_exclusions(
        str(folder / 'ava_val_excluded_timestamps_v2.2.csv'))
    assert ('5BDj0ow5hnA', 1038) in excluded
