# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The preflight of MMEngine's runner, before it does anything."""
import logging

from mmengine.runner import Runner

from mmaction_memvit.messages import log

from .checks import find_data_problems, find_problems
from .findings import PreflightError, describe, errors
from .run import MODES, Run

#: What is checked: a training will validate, and one day be tested.
_CHECKED = dict(train=MODES, val=('val', ), test=('test', ))


def preflight(runner: Runner, mode: str) -> None:
    """Check a run that is about to start, once.

    Runs without anything that remembers, streams or is of this package are
    none of its business. The config's ``preflight='warn'`` makes warnings of
    errors.

    Args:
        runner (Runner): The runner; its data loaders for ``mode`` are built.
        mode (str): 'train', 'val' or 'test': what is about to start.

    Raises:
        PreflightError: If numbers would be wrong; it tells of all findings.
    """
    run = Run.of_runner(runner, _CHECKED[mode])
    if not run.is_ours:
        return
    strict = (runner.cfg or {}).get('preflight', 'error') != 'warn'
    found = find_problems(run)
    if not (strict and errors(found)):
        # To build them may take minutes, so that this comes second.
        found += find_data_problems(_built(runner, mode, run))
    told = runner.__dict__.setdefault('_told_by_preflight', set())
    if strict and errors(found):
        raise PreflightError(
            f"{describe(found)}\nNothing was run. `preflight='warn'` in the "
            'config (--cfg-options preflight=warn) makes warnings of errors.')
    found = [x for x in found if x not in told]
    told.update(found)
    if found:
        log(describe(found), logging.WARNING)


def _built(runner: Runner, mode: str, run: Run) -> Run:
    """The run with data sets that are there."""
    modes = ('train', 'val') if mode == 'train' else (mode, )
    loops = {x: getattr(runner, f'{x}_loop') for x in modes}
    return Run(run.model.value,
               {x: loop.dataloader
                for x, loop in loops.items() if loop is not None}, {},
               runner.hooks)
