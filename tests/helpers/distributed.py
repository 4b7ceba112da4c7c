# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Processes of tests that work together."""
import time

import torch.distributed as dist


def leave_group() -> None:
    """End a process group, as ``finish`` of tools/train.py does."""
    dist.barrier()
    # Gloo's threads free what they worked on, for which they need the GIL. In
    # torch 2.4 the end of the group waits for them without releasing it.
    time.sleep(0.3)
    dist.destroy_process_group()
