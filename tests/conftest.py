# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os.path as osp
import sys

# Makes `from helpers...` work with every import mode of pytest.
sys.path.insert(0, osp.dirname(osp.abspath(__file__)))

# First of all, so that tests may import from the healed host.
import mmaction_memvit  # noqa: E402,F401
