# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os.path as osp
import random
import sys

import numpy as np
import pytest
import torch

# For `from helpers...` and `from generated...`, in every import mode.
TESTS = osp.dirname(osp.abspath(__file__))
sys.path[:0] = [TESTS, osp.join(osp.dirname(TESTS), 'examples')]

# First of all, so that tests may import from the healed host.
import mmaction_memvit  # noqa: E402,F401


@pytest.fixture(autouse=True)
def seed_of_each_test():
    """What a test draws does not hang on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
