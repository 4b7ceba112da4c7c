# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
from pathlib import Path

import pytest
import torch
from helpers.distributed import spawn_two

from mmaction_memvit.apis.processes import leave_processes


def threads():
    return len(os.listdir('/proc/self/task'))


def join_and_leave(rank, folder):
    """Counts threads before, in, and after a job."""
    before = threads()
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/{rank}', rank=0, world_size=1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    model.itself = [model]
    del model
    inside = threads()
    leave_processes()
    assert before == threads() < inside


@pytest.mark.skipif(
    not Path('/proc/self/task').is_dir(), reason='counts threads by /proc')
def test_a_distributed_job_leaves_no_thread(tmp_path):
    """One of Gloo that outlives Python aborts the process now and then."""
    spawn_two(join_and_leave, tmp_path)
