#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tests a checkpoint, by MMAction2's own tool and its options."""
import os.path as osp
from argparse import Namespace

from mmengine.config import Config

# Beside this file; importing it also heals the host libraries.
from train import build_runner, host_tool, load_config

from mmaction_memvit.apis.processes import leave_processes


def config_of(args: Namespace, tool: Namespace) -> Config:
    """The config with the options."""
    if '://' not in args.checkpoint and not osp.isfile(args.checkpoint):
        raise SystemExit(f'There is no checkpoint {args.checkpoint}.')
    cfg = load_config(args)
    # Before --dump makes a list of the evaluator.
    cfg.merge_from_dict(args.cfg_options or {})
    # A config that a resumed training has written asks for more.
    cfg.resume = False
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    try:
        cfg = tool.merge_args(cfg, args)
    except AssertionError as e:
        raise SystemExit(f'{args.config} does not go with the options: {e}') \
            from e
    return cfg


def main() -> None:
    tool = host_tool('test.py')
    build_runner(config_of(tool.parse_args(), tool)).test()
    leave_processes()


if __name__ == '__main__':
    main()
