# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .keyed import KeyedMetric  # noqa: F401
from .metrics import *  # noqa: F401,F403
