#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tests a checkpoint. The options are those of MMAction2's tool."""
import argparse
import os.path as osp

from mmengine.config import Config

# Beside this file; importing it also heals the host libraries.
from train import add_common_options, build_runner, finish, load_config


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Test an action recognizer')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path or URL of the checkpoint')
    parser.add_argument('--work-dir', help='where the log and the metrics go')
    parser.add_argument(
        '--dump', help='also write all predictions to this .pkl file')
    parser.add_argument(
        '--show-dir', help='where pictures of the predictions go')
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--interval', type=int, default=1,
        help='draw every n-th sample (default: 1)')
    parser.add_argument('--wait-time', type=float, default=2,
        help='seconds that a window stays (default: 2)')
    add_common_options(parser)
    return parser.parse_args()


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Applies the options of testing to the config."""
    if '://' not in args.checkpoint and not osp.isfile(args.checkpoint):
        raise SystemExit(f'There is no checkpoint {args.checkpoint}.')
    cfg.load_from = args.checkpoint
    # A config that a resumed training has written asks for more.
    cfg.resume = False

    if args.show or args.show_dir is not None:
        hook = cfg.get('default_hooks', {}).get('visualization')
        if hook is None:
            raise SystemExit(
                '--show and --show-dir need `visualization='
                "dict(type='VisualizationHook')` in the config's "
                'default_hooks.')
        hook.update(enable=True, show=args.show, wait_time=args.wait_time,
                    out_dir=args.show_dir, interval=args.interval)

    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise SystemExit(f'--dump writes a .pkl file, not {args.dump}.')
        metrics = cfg.test_evaluator
        metrics = list(metrics) if isinstance(metrics,
                                              (list, tuple)) else [metrics]
        metrics.append(dict(type='DumpResults', out_file_path=args.dump))
        cfg.test_evaluator = metrics

    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)


def main() -> None:
    """Tests."""
    args = parse_args()
    cfg = load_config(args)
    apply_options(cfg, args)
    build_runner(cfg).test()
    finish()


if __name__ == '__main__':
    main()
