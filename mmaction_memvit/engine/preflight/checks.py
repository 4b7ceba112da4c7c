# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""All checks of a run."""
from collections.abc import Iterable

from . import labels, metrics, models, pipelines, samplers, samples, sizes
from .findings import Finding
from .run import Run

CHECKS = (*models.CHECKS, *pipelines.CHECKS, *samplers.CHECKS, *sizes.CHECKS,
          *metrics.CHECKS, *labels.CHECKS)


def find_problems(run: Run) -> list[Finding]:
    """What a config tells, without its data."""
    return _collect(CHECKS, run)


def find_data_problems(run: Run) -> list[Finding]:
    """What only data sets and a model that were built can tell."""
    return _collect((*models.DATA_CHECKS, *labels.DATA_CHECKS,
                     *samples.DATA_CHECKS), run)


def _collect(checks: Iterable, run: Run) -> list[Finding]:
    found: dict = {}
    for check in checks:
        for finding in check(run):
            found.setdefault(finding)
    return _join_evaluations(list(found))


def _join_evaluations(found: list[Finding]) -> list[Finding]:
    """What is alike in validation and testing is told once."""
    twins = {}
    for finding in found:
        twin = Finding(*(x.replace('test_', 'val_') if isinstance(x, str)
                         else x for x in finding))
        if twin != finding and twin in found:
            twins[twin] = finding
    return [
        x._replace(
            where=f'{x.where} and {twins[x].where}',
            change=f'{x.change}, and alike for testing') if x in twins else x
        for x in found if x not in twins.values()
    ]
