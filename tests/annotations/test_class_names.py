# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.videos import need_shared_data
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.class_names import (
    read_class_names,
    read_label_map,
    write_class_names,
    write_label_map,
)


@pytest.mark.parametrize('text, names', [
    ('\ufeffc000 Holding some clothes\r\nc001  To c001 it\n\n',
     ['Holding some clothes', 'To c001 it']),
    # Not numbers, unless of all.
    ('c000 one\ntwo\n', ['c000 one', 'two']),
    ('one\n\ntwo', ['one', '', 'two']),
    ('', []),
])
def test_class_names(write, text, names):
    assert read_class_names(write(text)) == names


def test_wrong_order(write):
    with pytest.raises(ValueError, match='file.csv:2: .*c002.*c001.*Remedy'):
        read_class_names(write('c000 a\nc002 b'))


NAMES = st.text(
    st.characters(exclude_categories=['Cs'], exclude_characters='\0\r\n'),
    min_size=1, max_size=6).filter(lambda x: x == x.strip()) | st.sampled_from(
        ['#fails', 'c000 x', 'c001 y', 'caf\xe9', 'cafe\u0301', 'a, "b"'])


@given(st.dictionaries(st.integers(0, 9), NAMES, min_size=1))
def test_what_is_written_is_read(tmp_path_factory, names):
    path = str(tmp_path_factory.getbasetemp() / 'written/classes.txt')
    write_class_names(path, names)
    found = read_class_names(path)
    assert len(found) == max(names) + 1
    assert found == [names.get(k, f'unused_{k}') for k in range(len(found))]


# -- label maps -------------------------------------------------------------


@pytest.mark.parametrize('text', [
    'item {\n  name: "answer phone"\n  id: 11\n}\n'
    '# item { name: "#" id: 3 }\n'
    'item { id: 2 name: "say \\"hi\\" {loudly}" } # {\n',
    '\ufefflabel {\n\tname: "answer phone"\n\tlabel_id: 11\n'
    '\tlabel_type: PERSON_MOVEMENT\n}\n'
    'label {name: "say \\"hi\\" {loudly}" label_id: 2}',
])
def test_both_forms_of_a_label_map(write, text):
    assert list(read_label_map(write(text)).items()) == [
        (2, 'say "hi" {loudly}'), (11, 'answer phone')]


@pytest.mark.parametrize('text, words', [
    ('1 stand\n2 sit\n', 'no entry'),
    ('item {\n id: 1\n}', "'id: 1'"),
    ('item { name: "a" id: 1 } item { name: "b" id: 1 }', 'id 1 .*twice'),
    ('item { name: "a" id: 0 }', 'id 0 .*at least 1'),
])
def test_bad_label_maps(write, text, words):
    with pytest.raises(ValueError, match=f'file.csv: .*{words}.*Remedy'):
        read_label_map(write(text))


@given(st.dictionaries(
    st.integers(1, 10**6),
    st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0')),
    min_size=1, max_size=4))
def test_label_map_that_is_written_is_read(tmp_path_factory, names):
    path = str(tmp_path_factory.getbasetemp() / 'sub/label_map.pbtxt')
    write_label_map(path, names)
    assert read_label_map(path) == names


@pytest.mark.parametrize('name, num', [
    ('ava_action_list_v2.2.pbtxt', 80),
    ('ava_action_list_v2.2_for_activitynet_2019.pbtxt', 60)])
def test_real_label_maps(name, num):
    names = read_label_map(str(need_shared_data('ava') / name))
    assert len(names) == num and max(names) == 80
    assert names[1] == 'bend/bow (at the waist)' and names[12] == 'stand'
