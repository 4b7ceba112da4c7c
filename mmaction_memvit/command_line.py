# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the command lines of tools have in common."""
import argparse
import functools
import inspect
import sys
from collections.abc import Iterable
from typing import Any, Callable

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from .messages import warn

# What is read of a config and no argument of the Runner.
_READ = ('activation_checkpointing', 'any_checkpoint_fits', 'auto_scale_lr',
         'compile', 'efficient_conv_bn_eval', 'find_unused_parameters',
         'model_wrapper_cfg', 'preflight', 'runner_type', 'strategy',
         'sync_bn')


class _Help(argparse.ArgumentDefaultsHelpFormatter,
            argparse.RawDescriptionHelpFormatter):
    """The text as it stands, and defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default in (None, False) or '(default' in action.help:
            return action.help
        return super()._get_help_string(action)


def make_parser(doc: str, config: str = '') -> argparse.ArgumentParser:
    """The parser of a tool, with its docstring as help.

    ``config`` is 'config' or '--config', which :func:`read_config` reads.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=_Help)
    if config:
        parser.add_argument(config, help='config the model was trained with',
            **dict(required=True) if config.startswith('-') else {})
        parser.add_argument('--cfg-options', nargs='+', action=DictAction,
            help='settings that override those of the config, as key=value')
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """The config of a command line, whose default scope is set."""
    config = Config.fromfile(args.config)
    tell_unread(config, args.cfg_options or {})
    config.merge_from_dict(args.cfg_options or {})
    init_default_scope(config.get('default_scope', 'mmaction'))
    return config


def tell_unread(config: Config, options: Iterable[str]) -> None:
    """Warns of options that set a variable whose value stands elsewhere."""
    read = {*inspect.signature(Runner.__init__).parameters, *_READ}
    for name in options:
        root = name.partition('.')[0]
        if root in config and root not in read:
            warn(f'--cfg-options {name}: no run reads {root!r}, which other '
                 'lines of the config have taken their values from. Remedy: '
                 'name where these go, such as train_dataloader.batch_size, '
                 'or change it in the file')


def tells_errors(main: Callable) -> Callable:
    """Of a tool's main: errors of files and values end it in one line."""

    @functools.wraps(main)
    def run(*args: Any) -> Any:
        try:
            return main(*args)
        except (OSError, ValueError, ImportError) as e:
            raise SystemExit(f'ERROR: {e}') from e

    return run


def exit_code(main: Callable) -> Callable:
    """As :func:`tells_errors`, of a main that gives its exit code.

    Errors are 2, so that 1 can say what was found; an interruption is 130.
    """

    @functools.wraps(main)
    def run(*args: Any) -> int:
        try:
            return main(*args)
        except (OSError, ValueError, ImportError, RuntimeError) as e:
            print(f'error: {e}', file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print('\nInterrupted; run it again to go on')
            return 130

    return run
