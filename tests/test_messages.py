# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest

from mmaction_memvit.__main__ import find_tools
from mmaction_memvit.messages import (
    check_choice,
    first_names,
    text_table,
    tool,
)


def test_first_names():
    assert first_names(['a', 'b']) == "'a', 'b'"
    assert first_names('abcde') == "'a', 'b', 'c' and 2 more"


def test_choices_are_named():
    check_choice('kind', 'a', ('a', 'b'))
    with pytest.raises(ValueError, match="kind='c'.*'a', 'b'"):
        check_choice('kind', 'c', ('a', 'b'))


def test_columns_are_aligned():
    assert text_table([('', 'num'), ('long', 7)]).split('\n') == [
        '      num', 'long    7']
    assert text_table([('a', 'b'), (10, 1)], left=()) == ' a  b\n10  1'


def test_tools_are_named_by_a_command_that_is_there():
    name = tool('data/build_video_index.py').split()[-1]
    assert name in find_tools()
