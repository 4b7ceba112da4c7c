#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Trains a model from a config, by MMAction2's own tool and its options.

Importing mmaction_memvit first heals the host libraries and lets a config
name one of this package's as its base, ``mmaction_memvit::...``, which
MMAction2's tool by itself cannot know of at that point.
"""
import gc
import os.path as osp
import runpy
import time
from argparse import Namespace

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import mmaction
import torch
from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.dist import barrier, is_distributed
from mmengine.runner import Runner, find_latest_checkpoint

from mmaction_memvit.command_line import tell_unread


def host_tool(name: str) -> Namespace:
    """What a tool of MMAction2 defines, installed or in its checkout."""
    folder = osp.dirname(mmaction.__file__)
    for tools in ('.mim/tools', '../tools'):
        path = osp.join(folder, tools, name)
        if osp.isfile(path):
            return Namespace(**runpy.run_path(path))
    raise SystemExit(f'{folder} is without its tools. Remedy: pip install '
                     '--force-reinstall --no-deps mmaction2')


def load_config(args: Namespace) -> Config:
    """The config that the command line names."""
    if not osp.isfile(args.config):
        raise SystemExit(f'There is no config {args.config}.')
    cfg = Config.fromfile(args.config)
    tell_unread(cfg, args.cfg_options or {})
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Builds the runner that the config asks for."""
    return (RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg)(cfg)


def finish() -> None:
    """Ends a distributed job: no process leaves while another talks to it."""
    if is_distributed():
        barrier()
        # Gloo's threads free what they worked on, for which they need the
        # GIL. In torch 2.4 the end of the group waits for them without
        # releasing it: for ever, if they are not done.
        time.sleep(0.3)
        torch.distributed.destroy_process_group()
        # The wrapped model still holds the process group. With it go Gloo's
        # threads: one that frees a tensor while Python shuts down would
        # abort a process that has done all its work.
        gc.collect()


def config_of(args: Namespace, tool: Namespace) -> Config:
    """The config with the options, where MMAction2's tool would lose some."""
    cfg = load_config(args)
    weights = cfg.get('load_from')
    if cfg.get('randomness'):
        # It would pass over what the command line says.
        cfg.randomness.update({
            k: x for k, x in vars(args).items()
            if k in ('seed', 'diff_rank_seed', 'deterministic')
            and x is not None and x is not False})
    try:
        cfg = tool.merge_args(cfg, args)
    except (AssertionError, AttributeError) as e:
        raise SystemExit(f'{args.config} does not go with the options: {e}') \
            from e
    if args.resume == 'auto' and not find_latest_checkpoint(cfg.work_dir):
        # It would train from random weights.
        cfg.update(resume=False, load_from=cfg.load_from or weights)
        print(f'--resume: no checkpoint in {cfg.work_dir} yet, the run starts '
              f'from load_from={cfg.load_from}.')
    return cfg


def main() -> None:
    tool = host_tool('train.py')
    build_runner(config_of(tool.parse_args(), tool)).train()
    finish()


if __name__ == '__main__':
    main()
