# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging
from contextlib import contextmanager

from mmengine.logging import MMLogger


@contextmanager
def logged(read=logging.LogRecord.getMessage, level=logging.INFO):
    """What ``read`` makes of records of the log as they come, if anything."""
    lines = []

    def emit(record):
        line = read(record)
        if line:
            lines.append(line)

    handler = logging.Handler(level)
    handler.emit = emit
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(before)
