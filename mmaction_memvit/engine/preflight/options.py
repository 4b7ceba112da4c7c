# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Options that loops and hooks do not have.

MMEngine meets some of them after an epoch only.
"""
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Optional

from mmaction.registry import HOOKS, LOOPS
from mmengine.runner import Runner

from mmaction_memvit.messages import did_you_mean

from .findings import Finding
from .part import Part
from .run import Run

#: What the runner takes from the config of a loop or hook, or adds.
_NO_OPTIONS = {'type', '_scope_', 'by_epoch', 'priority'}
_ADDED = {'self', 'runner', 'dataloader', 'evaluator'}
_LOOPS = dict(val='ValLoop', test='TestLoop')


def _loops(run: Run) -> Iterator[Part]:
    for loader in run.loaders:
        value = run.cfg.get(f'{loader.mode}_cfg')
        if not isinstance(value, Mapping):
            continue
        by_epoch = value.get('by_epoch', True)
        default = _LOOPS.get(loader.mode, 'EpochBasedTrainLoop' if by_epoch
                             else 'IterBasedTrainLoop')
        yield Part({'type': default, **value}, LOOPS, f'{loader.mode}_cfg')


def _hooks(run: Run) -> Iterator[Part]:
    named = dict(run.cfg.get('default_hooks') or {})
    for i, hook in enumerate(run.cfg.get('custom_hooks') or ()):
        named[i] = hook
    for name, value in named.items():
        if isinstance(value, Mapping):
            group = 'custom' if isinstance(name, int) else 'default'
            yield Part(value, HOOKS, f'{group}_hooks.{name}')


def _known(part: Part) -> Optional[Collection[str]]:
    """Names of its options; None if it may have any."""
    if part.is_a('CheckpointHook'):
        # What it does not know itself is for this method.
        return {*part.options(),
                *inspect.signature(Runner.save_checkpoint).parameters}
    options = inspect.signature(part.cls).parameters.values()
    anything = any(x.kind == x.VAR_KEYWORD for x in options)
    return None if anything else [x.name for x in options]


def options_are_known(run: Run) -> Iterator[Finding]:
    """Misspelt options of the loops and hooks of MMEngine, or of others."""
    for part in (*_loops(run), *_hooks(run)):
        known = _known(part) if isinstance(part.cls, type) else None
        if known is None:
            continue
        known = sorted({*known} - _ADDED)
        for name in part.value:
            if name not in (*known, *_NO_OPTIONS):
                yield Finding(f'{part.path}.{name}',
                              f'{part} has no option {name!r}',
                              did_you_mean(name, known))


def best_is_measured(run: Run) -> Iterator[Finding]:
    """A measure for the best checkpoint that no metric gives."""
    metrics = run.metrics.get('val') or ()
    # Of each all that it gives must be known: its prefix, at least, before
    # which there may be that of a data set.
    named = [(x.get('prefix') or getattr(x.cls, 'default_prefix', None),
              getattr(x.cls, 'measures', '.*')) for x in metrics]
    if run.loader('val') is None or not all(prefix for prefix, _ in named):
        return
    for part in _hooks(run):
        best = part.is_a('CheckpointHook') and part.get('save_best') or ()
        for name in (best, ) if isinstance(best, str) else best:
            if name != 'auto' and not any(
                    re.fullmatch(f'(.+/)?{prefix}/({measures})', name)
                    for prefix, measures in named):
                given = ', '.join(
                    f'{prefix}/{x}' for prefix, measures in named
                    for x in measures.replace('.*', '...').split('|'))
                yield Finding(
                    f'{part.path}.save_best', f'no metric of val_evaluator '
                    f'gives {name!r}', f"one of {given}; or 'auto', the "
                    'first of them')


CHECKS = (options_are_known, best_is_measured)
