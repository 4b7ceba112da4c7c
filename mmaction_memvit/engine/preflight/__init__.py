# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What is wrong with a run is told before its first step.

:mod:`.run` reads a run, from its config or from what was built of it;
functions in :mod:`.models`, :mod:`.pipelines`, :mod:`.samplers`,
:mod:`.sizes`, :mod:`.metrics`, :mod:`.labels` and :mod:`.samples` look at one
thing each and give findings; :mod:`.runs` asks all before a run.
"""
from .checks import find_data_problems, find_problems
from .findings import Finding, PreflightError, describe, errors
from .run import Run
from .runs import preflight

__all__ = [
    'Finding', 'PreflightError', 'Run', 'describe', 'errors',
    'find_data_problems', 'find_problems', 'preflight'
]
