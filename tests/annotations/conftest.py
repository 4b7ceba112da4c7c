# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log():
    """Messages as they come."""
    lines = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def write(tmp_path):
    """Writes a file, of text as UTF-8; returns its path."""

    def run(content, name='file.csv'):
        if isinstance(content, str):
            content = content.encode()
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return run
