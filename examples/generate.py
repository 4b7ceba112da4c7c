# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make a set of videos whose questions need memory.

python examples/generate.py longcue data/longcue
python examples/generate.py longcue-boxes --help
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from generated import (
    make_distant_pair,
    make_kitchen,
    make_longcue,
    make_longcue_boxes,
)

SETS = {
    'longcue': make_longcue,
    'longcue-boxes': make_longcue_boxes,
    'distant-pair': make_distant_pair,
    'kitchen': make_kitchen,
}


class _Help(argparse.ArgumentDefaultsHelpFormatter,
            argparse.RawDescriptionHelpFormatter):
    pass


def main(argv: Sequence[str] | None = None) -> None:
    """Make the set that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=_Help)
    commands = parser.add_subparsers(dest='set', required=True)
    parsers = {}
    for name, module in SETS.items():
        parsers[name] = commands.add_parser(
            name, help=module.__doc__.splitlines()[0],
            description=module.__doc__, formatter_class=_Help)
        parsers[name].add_argument('out_dir', help='folder to write to')
        module.add_options(parsers[name])
    args = parser.parse_args(argv)
    start = time.time()
    try:
        SETS[args.set].make(args)
    except (ValueError, FileExistsError) as error:
        # Options that do not go together need no traceback.
        parsers[args.set].error(str(error))
    print(f'{args.out_dir}: {time.time() - start:.1f} s')


if __name__ == '__main__':
    main()
