# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest

from mmaction_memvit.compat import versions


@pytest.mark.parametrize('version, numbers', [('2.13.0+cpu', (2, 13, 0)),
                                              ('5.17.0.dev0', (5, 17, 0)),
                                              ('2.6.0a0+git', (2, 6, 0)),
                                              ('unknown', ())])
def test_release(version, numbers):
    assert versions.release(version) == numbers
