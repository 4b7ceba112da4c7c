# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.told import warnings_once

from mmaction_memvit.__main__ import find_tools
from mmaction_memvit.messages import (
    check_choice,
    check_no_more,
    check_whole,
    rename,
    retire,
    tool,
)


def test_options_of_former_versions(monkeypatch):
    warnings = warnings_once(monkeypatch)
    for _ in range(2):
        kwargs = dict(old_test_name=3, always_so=True, other=1)
        assert rename(kwargs, 'new', 5, 'old_test_name') == 3
        retire(kwargs, always_so=True)
        assert kwargs == dict(other=1)
    assert rename(kwargs, 'new', 5, 'old_test_name') == 5
    # Once each.
    assert len(warnings) == 2 and 'new' in warnings[0]
    with pytest.raises(ValueError, match='always_so=False'):
        retire(dict(always_so=False), always_so=True)


@pytest.mark.parametrize('value', [0, 1.5, True, '2'])
def test_whole_numbers(value):
    assert check_whole('size', 3, 3) == 3
    with pytest.raises(ValueError, match='size=.*at least 1'):
        check_whole('size', value)


def test_options_that_are_not_there():
    check_choice('kind', 'a', ('a', 'b'))
    with pytest.raises(ValueError, match="kind='c'.*'a', 'b'"):
        check_choice('kind', 'c', ('a', 'b'))

    class Owner:

        def __init__(self, batch_size=1, **kwargs):
            check_no_more(kwargs, __class__)

    class Hides(Owner):

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    Hides(batch_size=2)
    with pytest.raises(TypeError, match="'batchsize'.*'batch_size'"):
        Hides(batchsize=1)
    with pytest.raises(TypeError, match='one of batch_size$'):
        Owner(lanes=1)


def test_tools_are_named_by_a_command_that_is_there():
    assert tool('data/build_video_index.py').split()[-1] in find_tools()
