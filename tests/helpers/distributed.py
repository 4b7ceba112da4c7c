# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Processes of tests that work together."""
import importlib.util
import time
from typing import Callable

import torch.distributed as dist
import torch.multiprocessing as mp


def spawn_two(work: Callable, *args) -> None:
    """Run ``work(rank, *args)``, of a test's file, in two new processes."""
    mp.spawn(_run, (work.__code__.co_filename, work.__name__, *args), nprocs=2)


def _run(rank: int, file: str, name: str, *args) -> None:
    # First of all: only a healed MMAction2 is imported beside any MMCV.
    import mmaction_memvit  # noqa: F401
    spec = importlib.util.spec_from_file_location('test_file', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    getattr(module, name)(rank, *args)


def leave_group() -> None:
    """End a process group, as ``finish`` of tools/train.py does."""
    dist.barrier()
    # Gloo's threads free what they worked on, for which they need the GIL. In
    # torch 2.4 the end of the group waits for them without releasing it.
    time.sleep(0.3)
    dist.destroy_process_group()
