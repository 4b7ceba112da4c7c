# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True, scope='module')
def scope():
    """As MMEngine's runner builds models, in one thread."""
    init_default_scope('mmaction')
    torch.set_num_threads(1)
