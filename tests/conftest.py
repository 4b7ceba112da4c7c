# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tests compute on the CPU, but for those marked ``cuda``.

Numbers of a CPU can be compared to the last digits, and a run's with those of
processes that it starts; MMEngine would take any GPU it sees. So a session
sees one only if asked for its tests, by ``pytest -m cuda``.
"""
import gc
import logging
import os
import os.path as osp
import random
import sys

import numpy as np
import pytest
import torch

# For `from helpers...` and `from generated...`, in every import mode.
TESTS = osp.dirname(osp.abspath(__file__))
sys.path[:0] = [TESTS, osp.join(osp.dirname(TESTS), 'examples')]


def pytest_configure(config):
    """Hide GPUs, before anything looks for one, and heal the host."""
    if not _asks_for_gpu(config):
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    # First of all, so that tests may import from the healed host.
    import mmaction_memvit  # noqa: F401
    _write_configs_quickly()


def _write_configs_quickly():
    """A run writes its config several times, and yapf makes it pretty."""
    from mmengine.config import config
    config.FormatCode = lambda text, **kwargs: (text, False)


def pytest_collection_finish(session):
    """Data sets collect garbage; what is imported is none."""
    gc.collect()
    gc.freeze()


def _asks_for_gpu(config):
    marks = config.option.markexpr
    return 'cuda' in marks and 'not cuda' not in marks


def pytest_runtest_setup(item):
    """Skip tests of a GPU where there is none."""
    if item.get_closest_marker('cuda') is None:
        return
    if not _asks_for_gpu(item.config):
        pytest.skip('tests of a GPU run by themselves: pytest -m cuda')
    if not torch.cuda.is_available():
        pytest.skip('PyTorch sees no GPU')


@pytest.fixture(autouse=True)
def seed_of_each_test():
    """What a test draws does not hang on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    # The benchmark tool is quiet; tests after it are not.
    logging.disable(logging.NOTSET)
