# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Processes of tests that work together."""
import time
from typing import Callable

import cv2
import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def spawn_two(work: Callable, *args) -> None:
    """Run ``work(rank, *args)`` in two forks of this process.

    What takes long, the imports, is done; on a CPU autograd outlives forks.
    """
    mp.start_processes(_run, (work, *args), nprocs=2, start_method='fork')


def _run(rank: int, work: Callable, *args) -> None:
    torch.set_num_threads(1)
    # Threads stay behind.
    cv2.setNumThreads(0)
    work(rank, *args)


def leave_group() -> None:
    """End a process group, as ``finish`` of tools/train.py does."""
    dist.barrier()
    # Gloo's threads free what they worked on, for which they need the GIL. In
    # torch 2.4 the end of the group waits for them without releasing it.
    time.sleep(0.3)
    dist.destroy_process_group()
