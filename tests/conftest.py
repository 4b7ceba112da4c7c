# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os.path as osp
import random
import sys

import numpy as np
import pytest
import torch

# Makes `from helpers...` work with every import mode of pytest.
sys.path.insert(0, osp.dirname(osp.abspath(__file__)))

# First of all, so that tests may import from the healed host.
import mmaction_memvit  # noqa: E402,F401


@pytest.fixture(autouse=True)
def seed_of_each_test():
    """What a test draws does not hang on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
