# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .backbones import *  # noqa: F401,F403
from .recognizers import *  # noqa: F401,F403
