# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.class_names import (
    read_class_names,
    write_class_names,
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


@pytest.mark.parametrize('name', ['', ' a', 'a\nb'])
def test_names_that_lines_cannot_hold(tmp_path, name):
    with pytest.raises(ValueError, match='Remedy: rename'):
        write_class_names(str(tmp_path / 'x.txt'), {0: name})
