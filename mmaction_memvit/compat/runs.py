# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Has MMEngine's runner call a function before it trains or evaluates."""
import functools
from collections.abc import Callable

_MARK = '_checked_by_mmaction_memvit'


def before_runs(check: Callable) -> None:
    """Lets ``check(runner, mode)`` run before anything of a run.

    However a run is started, it comes to ``Runner.train``, ``val`` or
    ``test``: nothing is built yet but the model. Whatever ``check`` raises
    ends the run there.

    Args:
        check (Callable): Gets the runner, and 'train', 'val' or 'test'.
    """
    from mmengine.runner import Runner

    for mode in ('train', 'val', 'test'):
        original = getattr(Runner, mode)
        if hasattr(original, _MARK):
            continue
        checked = _checked(original, check, mode)
        setattr(checked, _MARK, True)
        setattr(Runner, mode, checked)


def _checked(original: Callable, check: Callable, mode: str) -> Callable:

    @functools.wraps(original)
    def method(self, *args, **kwargs):
        # A loop that is missing is for the runner to tell.
        if getattr(self, f'_{mode}_loop') is not None:
            check(self, mode)
        return original(self, *args, **kwargs)

    return method
