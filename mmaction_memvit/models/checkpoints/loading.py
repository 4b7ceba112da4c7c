# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a checkpoint gives to a model is told, and too little is an error.

MMEngine loads what fits and lists the rest over pages, so that a run may
train from scratch, or print accuracies of random weights, unnoticed. Here
every load through MMEngine (``load_from``, resuming, ``init_cfg``, tests,
inferencers) is measured, and told in one sentence if the model has a part of
this package. It is an error

- at once if nothing fits, of any model; of a model with a part of this
  package if less than nine tenths of its backbone do, or of an ``init_cfg``,
  which takes what fits, less than a tenth;
- when a model with a part of this package is to predict and has weights that
  were neither loaded nor trained;
- when a test numbers the actions of EPIC-KITCHENS otherwise than the training
  did.

Memory counts in neither: weights of a model of single clips may start one
with memory. That it predicts untrained is told.
"""
import logging
import os.path as osp
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Callable, Collection, Optional, Set
from urllib.error import URLError

from mmengine.dist import is_main_process
from mmengine.model import BaseModel, BaseTTAModel, is_model_wrapper
from mmengine.model.weight_init import PretrainedInit, initialize
from mmengine.runner import BaseLoop, CheckpointLoader, Runner, checkpoint
from torch import nn

from mmaction_memvit.annotations.epic_lists import unlike_actions
from mmaction_memvit.compat.wrap import around
from mmaction_memvit.messages import data_error, first_names, log, warn

from .measure import Fit, State, file_of, remember_file

OPTION = 'any_checkpoint_fits'
GO_ON = (f'To go on all the same: {OPTION}=True in the config (--cfg-options '
         f'{OPTION}=True), in Python a `with mmaction_memvit.models.'
         f'checkpoints.{OPTION}():`')
# Shares of the backbone's numbers.
_LEAST, _LEAST_OF_INIT = 0.9, 0.1

_anything: ContextVar[bool] = ContextVar('anything', default=False)
_initialising: ContextVar[bool] = ContextVar('initialising', default=False)
_fit: ContextVar[Optional[Fit]] = ContextVar('fit', default=None)


@contextmanager
def _set(variable: ContextVar, value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def any_checkpoint_fits(yes: bool = True):
    """Context in which what fits is loaded and told, and nothing an error."""
    return _set(_anything, yes or _anything.get())


def note(text: str, used: Collection[str] = ()) -> None:
    """Adds to what is told of the load that goes on, or logs it.

    ``used`` are names of the checkpoint that were used, though the model has
    none of these.
    """
    if _fit.get() is None:
        log(text)
    else:
        _fit.get().notes.append(text)
        _fit.get().used.update(used)


def misfit(text: str) -> None:
    """Raises a ValueError, or notes it within :func:`any_checkpoint_fits`."""
    if not _anything.get():
        file = _fit.get().file if _fit.get() else file_of({})
        raise ValueError(f'{file}: {text}. {GO_ON}')
    note(text)


@dataclass
class _Lacking:
    """What of a model was neither loaded nor trained."""
    file: str
    weights: Set[str]
    memory: Set[str]


def is_ours(model: nn.Module) -> bool:
    """Whether a model has a part of this package."""
    return any(type(m).__module__.startswith('mmaction_memvit.')
               for m in model.modules())


@around(checkpoint, 'load_state_dict')
def _load(original: Callable, model: nn.Module, state: State,
          strict: bool = False, logger: Any = None) -> None:
    """Measures a load."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    fit, ours = Fit(model, state), is_ours(model)
    if ours and not _initialising.get():
        _take_backbone(model, fit)
    with _set(_fit, fit):
        # Instead of a page of names, a sentence.
        original(model, state, strict, 'silent' if ours else logger)
    fit.finish()
    if not fit.own:
        return
    if not _anything.get():
        _check(model, fit, ours)
    if not ours:
        return
    if is_main_process():
        log(fit.sentence(), logging.WARNING if fit.missing else logging.INFO)
    if isinstance(model, BaseModel):
        _watch_predictions(model, fit)


def _take_backbone(model: nn.Module, fit: Fit) -> None:
    """Loads the backbone that ``init_cfg`` names, if a checkpoint has none.

    So what was trained over features runs over the backbone of these.
    """
    if fit.has_backbone or not fit.own.keys() & fit.state.keys():
        return
    for part in (model, model.backbone):
        starts = getattr(part, 'init_cfg', None) or []
        for start in [starts] if isinstance(starts, dict) else starts:
            if start['type'] == 'Pretrained':
                initialize(part, start)
                fit.notes.append('its backbone, which is not in it, is of '
                                 f'{start["checkpoint"]}, as init_cfg says')


def _check(model: nn.Module, fit: Fit, ours: bool) -> None:
    """Raises a ValueError if nothing or little fits."""
    least = 0.
    if ours:
        whole = isinstance(model, BaseModel) and not _initialising.get()
        least = _LEAST if whole else _LEAST_OF_INIT
    share = fit.share('backbone.')
    if fit.loaded and share >= least:
        return
    part = 'backbone' if hasattr(model, 'backbone') else type(model).__name__
    raise ValueError(
        f'{fit.sentence()}. That is {share:.0%} of the {part}, at least '
        f'{max(least, 0.01):.0%} must fit. Remedy: {fit.remedy()}. {GO_ON}')


def _watch_predictions(model: BaseModel, fit: Fit) -> None:
    """Lets a model refuse to predict with weights that nobody trained."""
    # Buffers of losses and the like do not change a prediction.
    missing = {k for k in fit.missing if isinstance(fit.own[k], nn.Parameter)
               or '.running_' in k}
    lacking = _Lacking(fit.file, missing - fit.memory, missing & fit.memory)
    before = getattr(model, '_lacking', None)
    if _anything.get():
        lacking = _Lacking(fit.file, set(), set())
    elif before is not None:
        lacking.weights &= before.weights
        lacking.memory &= before.memory
    elif missing:
        model.register_forward_pre_hook(_before_forward, with_kwargs=True)
    else:
        return
    model._lacking = lacking


def _before_forward(model: BaseModel, args: tuple, kwargs: dict) -> None:
    """Hook before a step: an error if it is to predict and weights lack."""
    lacking = model._lacking
    if model.training:
        lacking.weights, lacking.memory = set(), set()
        return
    mode = kwargs.get('mode', args[2] if len(args) > 2 else 'tensor')
    if mode != 'predict':
        return
    if lacking.weights:
        raise ValueError(
            f'{lacking.file} lacks {len(lacking.weights)} tensors of the '
            f'{type(model).__name__}: {first_names(sorted(lacking.weights))}. '
            'Predictions would come from random weights. Remedy: use the '
            'checkpoint that a training with this config has written, or '
            f'train first. {GO_ON}')
    if lacking.memory:
        warn(f'the memory has not been trained: {lacking.file} is of a model '
             f'without {first_names(sorted(lacking.memory))}. Predictions '
             'come from random weights in part. Remedy: train it, or predict '
             'without memory (neck=None, of a MeMViT mem_len=0)')
        lacking.memory = set()


@around(CheckpointLoader, 'load_checkpoint')
def _read(original: Callable, filename: str, *args, **kwargs) -> Any:
    try:
        found = original(filename, *args, **kwargs)
    except URLError as error:
        raise data_error(
            filename, f'these weights cannot be fetched: {error.reason}',
            'put the file somewhere and name its path instead, or leave the '
            'weights out (load_from, pretrained or init_cfg None)',
            ConnectionError) from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError,
            ValueError) as error:
        if not _is_damage(error, filename):
            raise
        raise data_error(
            filename, f'no checkpoint that can be read ({error!r:.80})',
            'it is cut off or something else: copy, fetch or write it anew'
        ) from error
    remember_file(found, filename)
    return found


def _is_damage(error: Exception, filename: str) -> bool:
    """Whether a file is none of torch's, or a part of one."""
    said = str(error)
    if isinstance(error, RuntimeError):
        return 'PytorchStreamReader' in said
    if isinstance(error, (LookupError, ValueError)):
        # Of text, which pickle takes for its orders; else of a name.
        return osp.isfile(filename)
    # Types that it does not take it names, and what to do.
    return 'GLOBAL' not in said


@around(PretrainedInit, '__call__')
def _initialise(original: Callable, *args) -> None:
    with _set(_initialising, True):
        original(*args)


@around(Runner, '_init_model_weights', 'load_checkpoint')
def _by_option(original: Callable, self: Runner, *args, **kwargs) -> Any:
    with any_checkpoint_fits(bool(self.cfg.get(OPTION))):
        found = original(self, *args, **kwargs)
        # A training learns the actions of its own data set.
        if isinstance(found, dict) and not isinstance(
                self._train_loop, BaseLoop):
            _check_actions(self, found)
        return found


def _check_actions(runner: Runner, checkpoint: dict) -> None:
    """Columns of a classifier are the actions that it was trained with."""
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    for loop in (runner._val_loop, runner._test_loop):
        if not isinstance(loop, BaseLoop) or 'action_pairs' not in meta:
            continue
        pairs = getattr(loop.dataloader.dataset, 'metainfo', {}).get(
            'action_pairs', meta['action_pairs'])
        unlike = unlike_actions(meta['action_pairs'], pairs)
        if unlike:
            misfit(f'{unlike} as the list of actions of the data set has it; '
                   'name as `actions` those that it was trained with')
