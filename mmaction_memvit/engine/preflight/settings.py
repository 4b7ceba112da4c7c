# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Settings of the run itself: sections, options, schedule, processes."""
import inspect
import os
from collections.abc import Iterator
from difflib import get_close_matches

from mmengine.dist import is_distributed
from mmengine.runner import Runner

from .findings import Finding
from .run import Run


def sections_are_known(run: Run) -> Iterator[Finding]:
    """Misspelt sections of a config, which nothing reads."""
    known = list(inspect.signature(Runner.__init__).parameters)
    for name in run.cfg:
        near = get_close_matches(name, known, 1, 0.9)
        if near and name not in known:
            yield Finding(name, f'nothing reads {name!r}',
                          f'{near[0]!r} in place of {name!r}')


def schedule_ends_with_training(run: Run) -> Iterator[Finding]:
    """A cosine that is over before the training is: the rate rises again."""
    epochs = (run.cfg.get('train_cfg') or {}).get('max_epochs')
    schedulers = run.cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    if epochs is None or not isinstance(schedulers, list):
        return
    for i, x in enumerate(schedulers):
        num, begin = x.get('T_max'), x.get('begin') or 0
        if x.get('type') != 'CosineAnnealingLR' or num is None \
                or not x.get('by_epoch', True):
            continue
        end = min(x.get('end') or epochs, epochs)
        if num < end - begin:
            yield Finding(
                f'param_scheduler.{i}.T_max', f'T_max={num}, but '
                f'train_cfg.max_epochs={epochs}: from epoch {begin + num} on '
                'the learning rate rises again',
                f'param_scheduler.{i}.T_max={end - begin}', False)


def processes_are_joined(run: Run) -> Iterator[Finding]:
    """Processes of torchrun that would each train by itself."""
    num = int(os.environ.get('WORLD_SIZE') or 1)
    if 'TORCHELASTIC_RUN_ID' in os.environ and num > 1 and \
            not is_distributed() and run.cfg.get('launcher') == 'none':
        yield Finding(
            'launcher', f'torchrun started {num} processes, but with '
            'launcher=none each runs all by itself, into the same folder',
            '--launcher pytorch behind the config on the command line')


CHECKS = (sections_are_known, schedule_ends_with_training,
          processes_are_joined)
