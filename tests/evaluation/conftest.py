# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log():
    """What metrics say: (level, text without the metric's name)."""
    lines = []

    def emit(record):
        _, metric, text = record.getMessage().partition('Metric: ')
        if metric:
            lines.append((record.levelno, text))

    handler = logging.Handler(logging.INFO)
    handler.emit = emit
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)
