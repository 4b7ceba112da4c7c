# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction_memvit.compat.runs import before_runs

from .hooks import *  # noqa: F401,F403
from .preflight import preflight

before_runs(preflight)
