#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tells what is wrong with a config, without training.

First what the config alone tells, then its weights and data, as far as they
are there, and last it draws two samples of each data loader and does one step
of training and evaluation with them, on the CPU. The same is looked at
whenever a run starts, but for the last part.
"""
from __future__ import annotations

import copy
import sys
import time
from collections.abc import Sequence
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner, load_checkpoint
from torch.utils.data import DataLoader

from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.engine.preflight import (
    Finding,
    Run,
    describe,
    errors,
    find_data_problems,
    find_problems,
)
from mmaction_memvit.models.checkpoints import any_checkpoint_fits
from mmaction_memvit.models.layers import clip_batch_norm
from mmaction_memvit.registry import MODELS

MODES = ('train', 'val', 'test')


class Report:
    """Prints what was found and what could not be looked at."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.failed = False
        #: What could not be looked at.
        self.missing: list[str] = []

    def add(self, findings: Sequence[Finding]) -> None:
        """Prints findings that are new."""
        new = [x for x in findings if x not in self.found]
        self.found += new
        if new:
            print(describe(new))

    def attempt(self, what: str, function, *args):
        """What a function gives; None, and a line, if it fails."""
        start = time.perf_counter()
        try:
            result = function(*args)
        except FileNotFoundError as error:
            self.missing.append(what)
            print(f'{what}: not looked at, as data are not there: {error}')
            return None
        except Exception as error:  # noqa: BLE001
            self.failed = True
            print(f'{what}: fails with {type(error).__name__}: {error}')
            return None
        print(f'{what}: done in {time.perf_counter() - start:.1f} s')
        return result

    @property
    def is_wrong(self) -> bool:
        """Whether a run would fail, or give wrong numbers."""
        return self.failed or bool(errors(self.found) or self.missing)


def load_weights(cfg: Config, file: str = '') -> None:
    """Weights that a run starts from: of a file, else as initialised."""
    model = MODELS.build(cfg.model)
    with any_checkpoint_fits(bool(cfg.get('any_checkpoint_fits'))):
        if file:
            load_checkpoint(model, file, 'cpu')
        else:
            model.init_weights()


def build_optimizer(cfg: Config, model: torch.nn.Module) -> None:
    """An optimizer for the model; without mixed precision, as on CPUs."""
    settings = {x: copy.deepcopy(cfg.optim_wrapper[x])
                for x in ('optimizer', 'constructor', 'paramwise_cfg')
                if x in cfg.optim_wrapper}
    # It tells the options of every parameter.
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        build_optim_wrapper(model, settings)
    finally:
        logger.setLevel(level)


def build_loader(cfg: Config, mode: str) -> DataLoader:
    """A data loader, without workers."""
    loader = dict(
        cfg[f'{mode}_dataloader'], num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    return Runner.build_dataloader(loader, seed=0)


def draw(loader: DataLoader) -> dict:
    """The first two samples of the first batch."""
    indices = next(iter(loader.batch_sampler))[:2]
    return loader.collate_fn([loader.dataset[i] for i in indices])


def train_step(model: torch.nn.Module, batch: dict) -> None:
    """Losses and their gradient."""
    model.train()
    # Few videos for statistics are the doing of this tool.
    with mock.patch.object(clip_batch_norm, 'FEW', 0):
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
    loss, _ = model.parse_losses(losses)
    if not torch.isfinite(loss):
        raise ValueError(f'the loss is {loss.item()}')
    loss.backward()


def evaluation_step(model: torch.nn.Module, batch: dict, metrics,
                    dataset) -> None:
    """Scores, as the metrics take them."""
    model.eval()
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = getattr(dataset, 'metainfo', None)
    with torch.no_grad():
        evaluator.process(model.val_step(batch), batch)


def check(cfg: Config, report: Report) -> None:
    """Looks at all of a config."""
    report.add(find_problems(Run.of_config(cfg)))
    model = report.attempt('model', MODELS.build, cfg.model)
    if model is None:
        return
    # What is at addresses is not fetched.
    if '://' not in str(cfg.model):
        report.attempt('init_cfg', load_weights, cfg)
    if '://' not in (cfg.get('load_from') or '://'):
        report.attempt('load_from', load_weights, cfg, cfg.load_from)
    if 'optimizer' in (cfg.get('optim_wrapper') or {}):
        report.attempt('optimizer', build_optimizer, cfg, model)
    loaders = {mode: report.attempt(f'{mode} data', build_loader, cfg, mode)
               for mode in MODES if cfg.get(f'{mode}_dataloader')}
    loaders = {mode: x for mode, x in loaders.items() if x is not None}
    metrics = {mode: cfg.get(f'{mode}_evaluator') for mode in loaders}
    report.add(find_data_problems(Run(model, loaders, metrics, ())))
    for mode, loader in loaders.items():
        batch = report.attempt(f'{mode}, two samples', draw, loader)
        if batch is None:
            continue
        if mode == 'train':
            report.attempt('train, a step', train_step, model, batch)
        else:
            report.attempt(f'{mode}, a step', evaluation_step, model, batch,
                           cfg.get(f'{mode}_evaluator'), loader.dataset)


@tells_errors
def main(args: Sequence[str] | None = None) -> None:
    """Checks a config; the exit code is 1 if it is wrong."""
    args = make_parser(__doc__, config='config').parse_args(args)
    cfg = read_config(args)
    if 'model' not in cfg:
        raise SystemExit(f'{args.config} has no model. Remedy: name a whole '
                         'config, or add its _base_')
    report = Report()
    check(cfg, report)
    if report.missing:
        print(f'Not looked at: {", ".join(report.missing)}. Remedy: the '
              'files named above, or their paths in the config')
    if report.is_wrong:
        print('Something is wrong: see the errors above.')
        sys.exit(1)
    print('Nothing is wrong'
          + ', but see the warnings' * bool(report.found) + '.')


if __name__ == '__main__':
    main()
