# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Processes of a job that share out work, and tell how far they are."""
import argparse
import gc
import multiprocessing
import sys
import time
from datetime import timedelta
from typing import Any, Callable, Optional

import torch
from mmengine.dist import (
    barrier,
    broadcast_object_list,
    get_rank,
    init_dist,
    is_distributed,
)
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Seconds between lines of a log.
_SAY_EVERY = 60.


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Options of a command that several processes run."""
    add = parser.add_argument
    add('--out-dir', required=True,
        help='where files go; all processes must see it')
    add('--workers', type=int, default=4,
        help='processes that decode, for each of the job')
    add('--device', default='cpu',
        help='with a launcher, cuda is the GPU of each process')
    add('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none', help='what has started the processes of the job')


def join_processes(launcher: str, device: str) -> str:
    """Join the others of a job; gives the device of this process.

    Args:
        launcher (str): What has started them.
        device (str): 'cuda' is the GPU of each process.
    """
    if launcher == 'none':
        return device
    # MMEngine would set 'spawn', with which workers import all anew.
    if 'fork' in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method('fork')
    # The others wait while one looks at all files.
    init_dist(
        launcher, backend='gloo', timeout=timedelta(days=7).total_seconds())
    if device == 'cuda':
        return f'cuda:{torch.cuda.current_device()}'
    return device


def leave_processes() -> None:
    """Ends what :func:`join_processes` began: nobody leaves alone."""
    if not is_distributed():
        return
    barrier()
    # Gloo's threads free what they worked on, for which they need the GIL. In
    # torch 2.4 the end of the group waits for them without releasing it: for
    # ever, if they are not done.
    time.sleep(0.3)
    torch.distributed.destroy_process_group()
    # A wrapped model still holds the process group. With it go Gloo's
    # threads: one that frees a tensor while Python shuts down would abort a
    # process that has done all its work.
    gc.collect()


def agree(decide: Callable[[], Any]) -> Any:
    """What one process decides, for all; its errors are those of all."""
    found = [None]
    if get_rank() == 0:
        try:
            found = [decide()]
        except (OSError, ValueError) as e:
            found = [e]
    if is_distributed():
        broadcast_object_list(found)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


class Bar:
    """A bar of progress of one process; in a log, a line now and then.

    ``total`` is what there is to do, if that is known; the first of the
    processes shows the bar.
    """

    def __init__(self, total: Optional[float], unit: str, rank: int = 0,
                 num_processes: int = 1) -> None:
        self.total, self.unit = total, unit
        self.me = f'process {rank + 1} of {num_processes}: ' * (
            num_processes > 1)
        self._is_log = not sys.stdout.isatty()
        self._begin = self._said = time.monotonic()
        self._progress = Progress(
            TextColumn('{task.completed:.0f} ' + unit), BarColumn(),
            TextColumn('{task.fields[told]}'), TimeElapsedColumn(),
            TimeRemainingColumn(), disable=self._is_log or rank > 0)
        self._task = self._progress.add_task('', total=total, told='')

    def __enter__(self) -> 'Bar':
        self._progress.start()
        return self

    def __exit__(self, *args) -> None:
        self._progress.stop()

    def update(self, done: float, told: str) -> None:
        """Show how much is done, and something beside it."""
        self._progress.update(self._task, completed=done, told=told)
        now = time.monotonic()
        if self._is_log and now - self._said > _SAY_EVERY:
            self._said = now
            of, left = '', ''
            if self.total:
                of = f' of {self.total:.0f}'
                left = (self.total / max(done, 1e-6) - 1) * (now - self._begin)
                left = f', {left / 60:.1f} min left'
            self.say(f'{done:.0f}{of} {self.unit}, {told}{left}')

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(
            self.me + text, markup=False, highlight=False, soft_wrap=True)
