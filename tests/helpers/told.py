# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import List

from mmaction_memvit import messages


def warnings_once(monkeypatch) -> List[str]:
    """What is warned of from now on; what was told before counts anew."""
    told: List[str] = []
    monkeypatch.setattr(messages, 'warn', told.append)
    messages.warn_once.cache_clear()
    return told
