# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.ops import library

pytest.importorskip('triton', reason='the kernels are written in Triton')


def test_without_a_compiler_plain_operators_are_taken():
    library._triton_runs.cache_clear()
    # Not interpreted, a kernel cannot be built for a CPU.
    with pytest.warns(UserWarning, match='MEMVIT_TRITON=0'):
        assert not library._triton_runs(torch.device('cpu'))
