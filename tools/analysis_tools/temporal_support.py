#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Measure how far back a clip still changes a trained model's scores.

    python tools/analysis_tools/temporal_support.py CONFIG CHECKPOINT \
        --clips 512 --out support.md support.png

Past clips of the config's test data are replaced, one at a time, by clips of
other videos. See docs/temporal_support.md.
"""
import argparse
from pathlib import Path

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

from benchmarking import markdown

from mmaction_memvit.apis import measure_temporal_support
from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.evaluation.functional.temporal_support import THRESHOLD
from mmaction_memvit.visualization import plot_temporal_support, support_rows


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, config='config')
    add = parser.add_argument
    add('checkpoint', nargs='?', help='weights (default: as initialised)')
    add('--clips', type=int, default=512, help='clips to run, about')
    add('--max-age', type=int,
        help='largest age in clips (default: one more than M x L, at most 32)')
    add('--threshold', type=float, default=THRESHOLD,
        help='change that counts as use, as a share of that at age 0')
    add('--unlabelled', action='store_true',
        help='measure clips labelled -1, too')
    add('--out', nargs='+', default=[], metavar='FILE',
        help='files to write: the table (.md), the plot (.png, .svg, ...)')
    add('--device', default='cpu')
    add('--seed', type=int, default=0)
    return parser.parse_args()


@tells_errors
def main() -> None:
    args = parse_args()
    config = read_config(args)
    result = measure_temporal_support(
        config, args.checkpoint, args.clips, args.max_age,
        args.unlabelled, args.device, args.seed)
    name = Path(args.config).stem
    table = markdown(*support_rows({name: result}, args.threshold))
    print(table)
    for path in args.out:
        if path.endswith('.md'):
            Path(path).write_text(table + '\n')
        else:
            plot_temporal_support({name: result}, path, args.threshold)


if __name__ == '__main__':
    main()
