# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the command lines of tools have in common."""
import argparse
import functools
import sys
from typing import Any, Callable

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope


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
    config.merge_from_dict(args.cfg_options or {})
    init_default_scope(config.get('default_scope', 'mmaction'))
    return config


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
