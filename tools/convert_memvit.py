# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Convert a released MeMViT, X-ViT or AVT checkpoint to our layout."""
import argparse
import os.path as osp
import pickle
import sys
from collections.abc import Sequence
from typing import Optional

import torch

from mmaction_memvit.command_line import make_parser
from mmaction_memvit.files import whole_file
from mmaction_memvit.models.checkpoints.released import convert_released


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('src', help='released checkpoint (.pyth)')
    parser.add_argument('dst', help='where to write the converted one (.pth)')
    return parser.parse_args(argv)


def read_checkpoint(path: str) -> dict:
    """What a file holds, or the end of the tool with what is wrong."""
    if not osp.isfile(path):
        sys.exit(f'{path}: no such file')
    try:
        # weights_only: a checkpoint from the web must not run code.
        return torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError,
            pickle.UnpicklingError) as error:
        lines = str(error).splitlines() or ['']
        # Torch tells it below what it advises.
        reason = next((x for x in lines if 'Unpickler' in x), lines[0])
        sys.exit(f'{path}: it cannot be read ({type(error).__name__}: '
                 f'{reason.strip()}). Remedy: download it anew; if it is '
                 'whole, save its tensors by themselves')


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Convert, and tell what was left out."""
    args = parse_args(argv)
    checkpoint = read_checkpoint(args.src)
    try:
        converted = convert_released(checkpoint)
    except ValueError as error:
        sys.exit(f'{args.src}: {error}')
    with whole_file(args.dst) as file:
        torch.save(
            dict(
                state_dict=converted.state,
                meta=dict(source=osp.basename(args.src),
                          mem_layers=list(converted.mem_layers),
                          dataset_meta=converted.dataset_meta)), file)
    print(f'{args.dst}: {len(converted.state)} tensors written; '
          f'mem_layers={list(converted.mem_layers)}')
    if converted.dropped:
        print(f'{len(converted.dropped)} tensors, which change no output, '
              'were left out:', *converted.dropped, sep='\n  ')


if __name__ == '__main__':
    main()
