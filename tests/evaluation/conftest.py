# Copyright (c) mmaction_memvit contributors. All rights reserved.
import multiprocessing

import numpy as np
import pytest
from helpers.logs import logged


@pytest.fixture
def log():
    """What metrics say: (level, text without the metric's name)."""

    def read(record):
        _, metric, text = record.getMessage().partition('Metric: ')
        return (record.levelno, text) if metric else None

    with logged(read) as lines:
        yield lines


@pytest.fixture
def one_process(monkeypatch):
    """Lets MMAction2's evaluation of AVA run here, with any numpy."""
    if not hasattr(np, 'NAN'):
        # As with numpy 1; MMAction2 has not gone along.
        monkeypatch.setattr(np, 'NAN', np.nan, raising=False)

    class Pool:

        def __init__(self, processes):
            pass

        def map(self, function, items):
            return list(map(function, items))

    monkeypatch.setattr(multiprocessing, 'Pool', Pool)
