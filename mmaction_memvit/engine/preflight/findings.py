# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What is wrong with a run, and how it is told."""
from collections.abc import Sequence
from typing import NamedTuple


class Finding(NamedTuple):
    """Something wrong or unusual."""
    where: str  # place in the config
    problem: str  # the value, and the limit it is over
    change: str  # the line of the config to change
    is_error: bool = True  # whether numbers would be wrong

    def __str__(self) -> str:
        kind = 'error' if self.is_error else 'warning'
        return f'{kind}: {self.where}: {self.problem}\n  change: {self.change}'


class PreflightError(ValueError):
    """A run that would give wrong numbers, told before its first step."""


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """Those that give wrong numbers."""
    return [x for x in findings if x.is_error]


def describe(findings: Sequence[Finding]) -> str:
    """All findings as one text, errors first."""
    wrong = errors(findings)
    unusual = [x for x in findings if not x.is_error]
    counts = ', '.join(
        f'{len(x)} {name}{"s" * (len(x) > 1)}'
        for x, name in ((wrong, 'error'), (unusual, 'warning')) if x)
    lines = [f'preflight: {counts}']
    lines += [f'{i}. {x}' for i, x in enumerate([*wrong, *unusual], 1)]
    return '\n'.join(lines)
