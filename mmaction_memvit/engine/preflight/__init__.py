# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What is wrong with a run is told before its first step.

:mod:`.run` reads a run, from its config or from what was built of it;
functions in :mod:`.models`, :mod:`.pipelines`, :mod:`.samplers`,
:mod:`.sizes`, :mod:`.metrics`, :mod:`.labels`, :mod:`.actions`,
:mod:`.causality`, :mod:`.options` and :mod:`.settings` look at one thing each
and give findings; :mod:`.checks` asks all before a run.
"""
from .checks import check_runs, find_data_problems, find_problems, preflight
from .findings import Finding, PreflightError, describe, errors
from .run import Run

__all__ = ['Finding', 'PreflightError', 'Run', 'check_runs', 'describe',
           'errors', 'find_data_problems', 'find_problems', 'preflight']
