# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""All checks of a run, made by MMEngine's runner before anything else."""
import logging
from collections.abc import Callable, Iterable

from mmengine.runner import Runner

from mmaction_memvit.compat.wrap import around
from mmaction_memvit.messages import log

from . import (
    actions,
    causality,
    labels,
    metrics,
    models,
    options,
    pipelines,
    samplers,
    settings,
    sizes,
)
from .findings import Finding, PreflightError, describe, errors
from .run import MODES, Run

CHECKS = (*models.CHECKS, *pipelines.CHECKS, *samplers.CHECKS, *sizes.CHECKS,
          *metrics.CHECKS, *labels.CHECKS, *actions.CHECKS, *settings.CHECKS,
          *options.CHECKS)
DATA_CHECKS = (*models.DATA_CHECKS, *metrics.DATA_CHECKS,
               *labels.DATA_CHECKS, *actions.DATA_CHECKS,
               *pipelines.DATA_CHECKS, *causality.DATA_CHECKS)
#: What is checked: a training will validate, and one day be tested.
_CHECKED = dict(train=MODES, val=('val', ), test=('test', ))


def find_problems(run: Run) -> list[Finding]:
    """What a config tells, without its data."""
    return _collect(CHECKS, run)


def find_data_problems(run: Run) -> list[Finding]:
    """What only data sets and a model that were built can tell."""
    return _collect(DATA_CHECKS, run)


def _collect(checks: Iterable[Callable], run: Run) -> list[Finding]:
    found = dict.fromkeys(
        finding for check in checks for finding in check(run))
    # What is alike in validation and testing is told once.
    twins = {}
    for finding in found:
        twin = Finding(*(x.replace('test_', 'val_') if isinstance(x, str)
                         else x for x in finding))
        if twin != finding and twin in found:
            twins[twin] = finding
    return [
        x._replace(
            where=' and '.join(dict.fromkeys((x.where, twins[x].where))),
            change=f'{x.change}, and alike for testing') if x in twins else x
        for x in found if x not in twins.values()]


def preflight(runner: Runner, mode: str) -> None:
    """Check a run that is about to start, once.

    Runs without anything that remembers, streams or is of this package are
    none of its business. The config's ``preflight='warn'`` makes warnings of
    errors. ``mode`` is 'train', 'val' or 'test', whose data loaders are built.

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
        modes = ('train', 'val') if mode == 'train' else (mode, )
        loops = {x: getattr(runner, f'{x}_loop') for x in modes}
        loops = {x: y for x, y in loops.items() if y is not None}
        found += find_data_problems(Run(
            run.model.value, {x: y.dataloader for x, y in loops.items()},
            {x: getattr(y, 'evaluator', None) for x, y in loops.items()},
            runner.hooks))
    told = runner.__dict__.setdefault('_told_by_preflight', set())
    if strict and errors(found):
        raise PreflightError(
            f"{describe(found)}\nNothing was run. `preflight='warn'` in the "
            'config (--cfg-options preflight=warn) makes warnings of errors.')
    found = [x for x in found if x not in told]
    told.update(found)
    if found:
        log(describe(found), logging.WARNING)


def check_runs() -> None:
    """Lets every run begin with its preflight, however it is started."""
    for mode in MODES:
        around(Runner, mode)(_checked(mode))


def _checked(mode: str) -> Callable:

    def start(original: Callable, self: Runner, *args, **kwargs) -> object:
        # A loop that is missing is for the runner to tell.
        if getattr(self, f'_{mode}_loop') is not None:
            preflight(self, mode)
        return original(self, *args, **kwargs)

    return start
