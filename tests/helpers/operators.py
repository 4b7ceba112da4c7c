# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Counts what a step dispatches."""
from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode


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
