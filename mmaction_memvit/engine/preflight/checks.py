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
    return _collect((*labels.DATA_CHECKS, *samples.DATA_CHECKS), run)


def _collect(checks: Iterable, run: Run) -> list[Finding]:
    # A data loader may serve validation and testing alike.
    found: dict = {}
    for check in checks:
        for finding in check(run):
            found.setdefault(finding)
    return list(found)
