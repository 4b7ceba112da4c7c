# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import pytest
from helpers.epic import write_official, write_text

from mmaction_memvit.models.losses.class_counts import load_class_counts


def test_counts_are_a_list_a_file_or_the_labels_of_a_csv(tmp_path):
    assert load_class_counts([3, 0, 1]) == [3, 0, 1]
    (tmp_path / 'counts.json').write_text(json.dumps([2, 5]))
    assert load_class_counts(str(tmp_path / 'counts.json')) == [2, 5]
    path = write_official(tmp_path / 'train.csv', [
        ('P01_01_0', 0, 1, 2, 7), ('P01_01_1', 1, 2, 0, 7),
        ('P01_01_2', 2, 3, 2, 1)])
    verbs = dict(ann_file=path, column='verb_class', num_classes=4)
    assert load_class_counts(verbs) == [1, 0, 2, 0]
    nouns = dict(ann_file=path, column='noun_class', num_classes=8)
    assert load_class_counts(nouns) == [0, 1, 0, 0, 0, 0, 0, 2]
    path = write_text(tmp_path / 'plain.csv', 'a,v,0,9,1,2,3', '',
                      'b,v,9,18,1,0,-1', 'c,v,9,18,0,0,3')
    actions = dict(ann_file=path, column=6, num_classes=4)
    assert load_class_counts(actions) == [0, 0, 0, 2]


def test_byte_order_mark(tmp_path):
    """Excel's 'CSV UTF-8' begins with one."""
    path = write_text(tmp_path / 'named.csv', '\ufeffverb,noun', '1,0', '1,2')
    source = dict(ann_file=path, column='verb', num_classes=2)
    assert load_class_counts(source) == [0, 2]
    path = write_text(tmp_path / 'plain.csv', '\ufeff1,0', '0,2')
    source = dict(ann_file=path, column=0, num_classes=2)
    assert load_class_counts(source) == [1, 1]


@pytest.mark.parametrize('source,message', [
    ([], 'not all'), ([0, 0], 'not all'), ([1, -1], 'whole'),
    ([0.5, 1], 'whole'), ([[1, 2]], 'list'),
    (dict(column='verbs', num_classes=3), "no column 'verbs'"),
    (dict(column='verb_class', num_classes=2), '2.*num_classes=2'),
    (dict(column='noun', num_classes=3), 'noun'),
])
def test_bad_counts(tmp_path, source, message):
    if isinstance(source, dict):
        source['ann_file'] = write_official(
            tmp_path / 'train.csv', [('P01_01_0', 0, 1, 2, 7)])
    with pytest.raises(ValueError, match=message):
        load_class_counts(source)
