# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Has something done around a function of the host."""
import functools
import inspect
from collections.abc import Callable
from typing import Any


def wrap(owner: Any, name: str, new: Callable) -> None:
    """Puts ``new(original, ...)`` in the place of a function, once.

    ``new`` gets the original, then what that is called with.
    """
    original = getattr(owner, name)
    if getattr(original, 'is_wrapped', False):
        return

    @functools.wraps(original)
    def call(*args, **kwargs):
        return new(original, *args, **kwargs)

    call.is_wrapped = True
    bound = isinstance(
        inspect.getattr_static(owner, name), (staticmethod, classmethod))
    setattr(owner, name, staticmethod(call) if bound else call)
