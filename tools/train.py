#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Trains a model from a config. The options are those of MMAction2's tool.

Importing mmaction_memvit first heals the host libraries and lets a config
name one of this package's as its base, ``mmaction_memvit::...``, which
MMAction2's own tool cannot know of at that point.
"""
import argparse
import gc
import os
import os.path as osp
import time

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import barrier, is_distributed
from mmengine.runner import Runner, find_latest_checkpoint

from mmaction_memvit.registry import RUNNERS


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Train an action recognizer')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir',
        help='where logs and checkpoints go (default: the one of the '
        'config, else ./work_dirs/NAME_OF_THE_CONFIG)')
    parser.add_argument('--resume', nargs='?', const='auto',
        help='go on from this checkpoint; without a value from the latest '
        'one in the work directory, or start if there is none yet')
    parser.add_argument(
        '--amp', action='store_true', help='train with mixed precision')
    parser.add_argument('--no-validate', action='store_true',
        help='do not evaluate during training')
    parser.add_argument('--auto-scale-lr', action='store_true',
        help='scale the learning rate by the batch size, relative to the '
        "config's auto_scale_lr.base_batch_size")
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument('--diff-rank-seed', action='store_true',
        help='give every process a seed of its own')
    parser.add_argument('--deterministic', action='store_true',
        help='choose deterministic algorithms of cuDNN')
    add_common_options(parser)
    return parser.parse_args()


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that tools/train.py and tools/test.py share."""
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
        help='settings that override those of the config, as key=value; '
        'nested keys a.b=1, lists a="[1,2]" or a=1,2, tuples '
        'a="[(1,2),(3,4)]"; quote them, and no white space')
    parser.add_argument('--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
        help='what has started the processes of a distributed job')
    # torch.distributed.launch passes it on; torchrun sets LOCAL_RANK itself.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Loads the config and applies the options that all tools share."""
    if not osp.isfile(args.config):
        raise SystemExit(f'There is no config {args.config} (looked from '
                         f'{os.getcwd()}).')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    # In this order: command line, config, the config's name.
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Builds the runner that the config asks for."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


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


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Applies the options of training to the config."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None

    if args.amp:
        wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise SystemExit(
                f'--amp works with optim_wrapper.type OptimWrapper, and the '
                f'config has {wrapper}. Leave --amp out, or set the type.')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')

    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise SystemExit(
                '--auto-scale-lr needs `auto_scale_lr = '
                'dict(base_batch_size=...)` in the config: the batch size '
                'over all GPUs that its learning rate was chosen for.')
        cfg.auto_scale_lr.enable = True

    # What the command line says wins over the config.
    randomness = cfg.get('randomness') or dict(seed=None)
    if args.seed is not None:
        randomness['seed'] = args.seed
    for name in ('diff_rank_seed', 'deterministic'):
        if getattr(args, name):
            randomness[name] = True
    cfg.randomness = randomness

    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)

    # Last: the options may have named another work_dir.
    if args.resume is not None:
        cfg.resume = True
        if args.resume != 'auto':
            cfg.load_from = args.resume
        elif find_latest_checkpoint(cfg.work_dir) is not None:
            # The runner looks for it.
            cfg.load_from = None
        else:
            # MMEngine would forget load_from and train from random weights.
            cfg.resume = False
            print(f'--resume: no checkpoint in {cfg.work_dir} yet, the run '
                  'starts from load_from='
                  f'{cfg.get("load_from")}.')


def check_weights(cfg: Config) -> None:
    """Stops before anything is built if the weights are not there."""
    path = cfg.get('load_from')
    if path and '://' not in path and not osp.exists(path):
        raise SystemExit(
            f'load_from {path} does not exist. Put the weights there '
            '(tools/convert_memvit.py converts released ones), name others, '
            'or begin with random ones: --cfg-options load_from=None')


def main() -> None:
    """Trains."""
    args = parse_args()
    cfg = load_config(args)
    apply_options(cfg, args)
    check_weights(cfg)
    build_runner(cfg).train()
    finish()


if __name__ == '__main__':
    main()
