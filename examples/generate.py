# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make a set of videos whose questions need memory.

python examples/generate.py longcue data/longcue
python examples/generate.py longcue-boxes --help
"""
import argparse
import time

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=_Help)
    commands = parser.add_subparsers(dest='set', required=True)
    parsers = {}
    for name, module in SETS.items():
        parsers[name] = commands.add_parser(
            name,
            help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            formatter_class=_Help)
        parsers[name].add_argument('out_dir', help='folder to write to')
        module.add_options(parsers[name])
    args = parser.parse_args()
    start = time.time()
    try:
        SETS[args.set].make(args)
    except (ValueError, FileExistsError) as error:
        # Options that do not go together need no traceback.
        parsers[args.set].error(str(error))
    print(f'{args.out_dir}: {time.time() - start:.1f} s')


if __name__ == '__main__':
    main()
