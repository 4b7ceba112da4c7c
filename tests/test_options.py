# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest

from mmaction_memvit import options
from mmaction_memvit.options import (
    check_no_more,
    check_whole,
    rename,
    retire,
)


def test_options_of_former_versions(monkeypatch):
    warnings = []
    monkeypatch.setattr(options, 'warn', warnings.append)
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


def test_misspelt_options():
    check_no_more({}, options)
    with pytest.raises(TypeError, match='batchsize'):
        check_no_more(dict(batchsize=1), options)
