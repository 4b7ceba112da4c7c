# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Triton's kernels: right in its interpreter and on a GPU."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name('test_operators.py')


def run_cases(*args, **env):
    result = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-x',
                             str(CASES), *args],
                            env=dict(os.environ, **env), capture_output=True,
                            text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-4000:]


def test_kernels_in_the_interpreter():
    pytest.importorskip('triton', '3.0', 'the interpreter came with 3.0')
    run_cases(MEMVIT_TRITON='1', TRITON_INTERPRET='1')


@pytest.mark.cuda
@pytest.mark.parametrize('triton', ['0', '1'], ids=['plain', 'triton'])
def test_operators_on_a_gpu(triton):
    run_cases('-m', 'cuda', MEMVIT_TRITON=triton, MEMVIT_TEST_DEVICE='cuda')
