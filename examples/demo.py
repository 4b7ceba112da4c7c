# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Train a tiny model with memory and one without, and compare them.

python examples/demo.py longcue
python examples/demo.py epic --help
"""
import argparse
import os
import os.path as osp
import time

from demos import (
    avt,
    collaborative,
    detection,
    epic,
    features,
    longcue,
    unrolled,
)

DEMOS = {
    'longcue': longcue,
    'detection': detection,
    'epic': epic,
    'avt': avt,
    'collaborative': collaborative,
    'unrolled': unrolled,
    'features': features,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='task', required=True)
    for name, module in DEMOS.items():
        command = commands.add_parser(
            name, help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument('--out-dir', default='demo_out',
            help='where everything is written (default: demo_out)')
        for option, (number, what) in module.AMOUNTS.items():
            command.add_argument(f'--{option}', type=int, default=number,
                help=f'{what} (default: {number})')
        command.add_argument(
            '--epochs', type=int, help='instead of those of the configs')
        command.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.out_dir = osp.abspath(args.out_dir)
    os.makedirs(args.out_dir, exist_ok=True)
    start = time.time()
    DEMOS[args.task].main(args)
    print(f'took {(time.time() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    main()
