# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import List

from mmaction_memvit.models.layers import warn


def warnings_once(monkeypatch) -> List[str]:
    """What models warn of from now on; what was told before counts anew."""
    told: List[str] = []
    monkeypatch.setattr(warn, 'print_log',
                        lambda message, **kwargs: told.append(message))
    warn.warn_once.cache_clear()
    return told
