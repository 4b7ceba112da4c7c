# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def warnings():
    """Messages of warnings, as they come."""
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
