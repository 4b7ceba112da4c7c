# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What users give and are told: options, errors with a remedy, tables."""
import inspect
import logging
import math
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.logging import print_log


def log(text: str, level: int = logging.INFO) -> None:
    """Says something in the log of the run, or prints it without one."""
    print_log(text, logger='current', level=level)


def warn(text: str) -> None:
    """Warns in the log of the run."""
    log(text, logging.WARNING)


@cache
def warn_once(text: str) -> None:
    """Warns in the log, once in a process."""
    warn(text)


def data_error(where: str, problem: str, remedy: str,
               kind: type = ValueError) -> Exception:
    """The error of a file: where it is, what is wrong, what helps.

    ``where`` is the file or ``file:line``, ``problem`` names value and limit.
    """
    return kind(f'{where}: {problem}. Remedy: {remedy}')


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises a ValueError if an option has none of its values."""
    if value not in choices:
        raise ValueError(f'{name}={value!r} must be one of {tuple(choices)}')


def check_whole(name: str, value: int, least: int = 1) -> int:
    """An option that must be a whole number, as an int."""
    if (not isinstance(value, (int, np.integer)) or isinstance(value, bool)
            or value < least):
        raise ValueError(f'{name}={value!r} must be a whole number of at '
                         f'least {least}')
    return int(value)


def check_number(name: str, value: float, least: Optional[float] = None,
                 most: float = math.inf) -> None:
    """Raises a ValueError if an option is no number within its limits.

    These are ``least`` to ``most``; without ``least`` it must be above 0.
    """
    if (not isinstance(value, (int, float, np.number))
            or not (value > 0 if least is None else value >= least)
            or value > most):
        limits = 'above 0' if least is None else f'of at least {least:.3g}'
        raise ValueError(f'{name}={value!r} must be a number {limits}'
                         + f', at most {most:.3g}' * (most < math.inf))


def rename(kwargs: dict, new: str, value: Any, old: str) -> Any:
    """Value of the option ``new``, in ``kwargs`` perhaps by its ``old`` name.

    ``kwargs`` lose the old name.
    """
    if old not in kwargs:
        return value
    warn_once(f'{old} is now called {new}. Remedy: rename it in the config')
    return kwargs.pop(old)


def retire(kwargs: dict, remedy: str = 'leave it out', **only: Any) -> None:
    """Takes away options that have one value, ``only``; others are errors."""
    for name, value in only.items():
        if name not in kwargs:
            continue
        given = kwargs.pop(name)
        if given != value:
            raise ValueError(f'{name}={given!r} cannot be: it is always '
                             f'{value!r}. Remedy: {remedy}')
        warn_once(f'{name}={value!r} is always so and no option any more. '
                  'Remedy: leave it out')


def check_no_more(kwargs: dict, owner: type) -> None:
    """Raises a TypeError if there are options that a class does not know.

    It is the class that takes them (``__class__``): a subclass may hide what
    it hands on.
    """
    if kwargs:
        name = next(iter(kwargs))
        # The last one takes what nobody knows.
        known = [*inspect.signature(owner).parameters][:-1]
        raise TypeError(f'{owner.__name__} has no option {name!r}. '
                        f'Remedy: {did_you_mean(name, known)}')


def did_you_mean(value: str, known: Collection[str]) -> str:
    """A remedy for a name that is not known."""
    close = get_close_matches(str(value), known, 1)
    return (f'write {close[0]!r}' if close else
            f'it must be one of {", ".join(known) or "none"}')


def first_names(names: Iterable, num: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    names = list(names)
    shown = ', '.join(map(repr, names[:num]))
    rest = len(names) - num
    return f'{shown} and {rest} more' if rest > 0 else shown


def tool(path: str) -> str:
    """The command that runs a tool, given within the folder of tools."""
    return f'python -m mmaction_memvit {Path(path).stem}'


def text_table(rows: Sequence[Sequence], left: Collection[int] = (0, )) -> str:
    """Aligns the cells of rows of equal length, heads included.

    Columns in ``left`` are aligned to the left, others to the right.
    """
    rows = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        '  '.join(cell.ljust(width) if k in left else cell.rjust(width)
                  for k, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows)


def format_share(share: float) -> str:
    """Four digits of a share, '-' for none."""
    return '-' if share != share else f'{share:.4f}'
