# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging
from functools import cache

from mmengine.logging import print_log


@cache
def warn_once(message: str) -> None:
    """Warn in the log, once in a process."""
    print_log(message, logger='current', level=logging.WARNING)
