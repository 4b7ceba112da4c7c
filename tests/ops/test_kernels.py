# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Triton's kernels: right in its interpreter and on a GPU."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.utils import digit_version

CASES = Path(__file__).with_name('test_operators.py')


def run_cases(*args, **env):
    result = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-x',
                             str(CASES), *args],
                            env=dict(os.environ, **env), capture_output=True,
                            text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-4000:]


def test_kernels_in_the_interpreter():
    triton = pytest.importorskip('triton', '3.0',
                                 reason='the interpreter came with 3.0')
    if digit_version(triton.__version__) < digit_version('3.9') \
            and digit_version(np.__version__) >= digit_version('2.4'):
        pytest.skip("Triton's interpreter counts loops by what NumPy 2.4 "
                    'does not allow any more, before Triton 3.9')
    run_cases(MEMVIT_TRITON='1', TRITON_INTERPRET='1')


@pytest.mark.cuda
@pytest.mark.parametrize('triton', ['0', '1'], ids=['plain', 'triton'])
def test_operators_on_a_gpu(triton):
    run_cases('-m', 'cuda', MEMVIT_TRITON=triton, MEMVIT_TEST_DEVICE='cuda')
