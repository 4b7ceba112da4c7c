# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .hooks import *  # noqa: F401,F403
from .preflight import check_runs

check_runs()
