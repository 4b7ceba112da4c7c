# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Options and what is said about them: checks, former names, messages."""
from typing import Any

import numpy as np

from .messages import warn

_told: set[str] = set()


def _tell_once(text: str) -> None:
    if text not in _told:
        _told.add(text)
        warn(text)


def rename(kwargs: dict, new: str, value: Any, old: str) -> Any:
    """The value of an option that had another name.

    Args:
        kwargs (dict): Further arguments, which lose the old name.
        new (str): The name.
        value (Any): What is given under it.
        old (str): The former name.

    Returns:
        Any: What is given under the former name, if it is, else ``value``.
    """
    if old not in kwargs:
        return value
    _tell_once(f'{old} is now called {new}. Remedy: rename it in the config')
    return kwargs.pop(old)


def retire(kwargs: dict, **only: Any) -> None:
    """Takes away options that have one value only.

    Args:
        kwargs (dict): Further arguments, which lose the options.
        **only (Any): Their values.

    Raises:
        ValueError: If one has another value.
    """
    for name, value in only.items():
        if name not in kwargs:
            continue
        given = kwargs.pop(name)
        if given != value:
            raise ValueError(f'{name}={given!r} cannot be: it is always '
                             f'{value!r}. Remedy: leave it out')
        _tell_once(f'{name}={value!r} is always so and no option any more. '
                   'Remedy: leave it out')


def check_no_more(kwargs: dict, owner: Any) -> None:
    """Raises a TypeError if there are options that nobody knows."""
    if kwargs:
        raise TypeError(f'{type(owner).__name__} has no option '
                        f'{", ".join(kwargs)}')


def check_whole(name: str, value: int, least: int = 1) -> int:
    """An option that must be a whole number, as an int."""
    if (not isinstance(value, (int, np.integer)) or isinstance(value, bool)
            or value < least):
        raise ValueError(f'{name}={value!r} must be a whole number of at '
                         f'least {least}')
    return int(value)
