# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a step dispatches, and where it can be compiled."""
from collections import Counter

import pytest
import torch
from mmengine.utils import digit_version
from torch.utils._python_dispatch import TorchDispatchMode

compiles = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.4'),
    reason='torch.compile sees into nested tuples from torch 2.4 on')


class Operators(TorchDispatchMode):
    """Counts dispatched operators, views apart."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        returns = func._schema.returns
        view = returns and all(x.alias_info is not None
                               and not x.alias_info.is_write for x in returns)
        if not view and func is not torch.ops.aten._unsafe_view.default:
            self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))
