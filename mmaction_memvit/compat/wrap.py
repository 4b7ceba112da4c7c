# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Has something done around a function of the host."""
import functools
import inspect
from collections.abc import Callable
from typing import Any


def around(owner: Any, *names: str) -> Callable:
    """Decorator: a function stands in for functions of the host, once.

    It gets the original, then what that is called with.
    """

    def put(new: Callable) -> Callable:
        for name in names:
            _wrap(owner, name, new)
        return new

    return put


def _wrap(owner: Any, name: str, new: Callable) -> None:
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
