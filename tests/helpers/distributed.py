# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Processes of tests that work together."""
from typing import Callable

import cv2
import torch
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
