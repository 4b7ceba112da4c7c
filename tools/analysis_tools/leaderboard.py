#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Puts models of any configs side by side: accuracy, cost, context.

    python tools/analysis_tools/leaderboard.py boards/longcue.yml
    python tools/analysis_tools/leaderboard.py my_board.yml --rows TSM MeMViT

A board lists models, as docs/leaderboard.md shows: their config, and their
checkpoint, or that they are to be trained. For each row: the accuracy by the
config's own evaluator, parameters, multiply-adds, seconds and clips a second,
memory, and how much of the video is within reach. What is known is kept and
not done again, until config or checkpoint change; a row that fails says why,
and the others go on. All models are timed in turn, round after round, so that
whatever else the machine does meets them alike: ratios hold.
"""
import argparse
import json
import os.path as osp
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Optional

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import torch
from benchmark_memvit import machine, set_up
from benchmarking.board import Board, find_file, read_board
from benchmarking.board_report import (
    clips_note,
    markdown_of,
    plot,
    table_of,
)
from benchmarking.board_rows import Entry, time_rows

from mmaction_memvit.command_line import make_parser, tells_errors
from mmaction_memvit.messages import did_you_mean


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('board', help='a board, such as boards/longcue.yml')
    add('--rows', nargs='+', metavar='NAME',
        help='rows by name (default: all)')
    add('--out-dir',
        help='where everything is kept (default: work_dirs/boards/BOARD)')
    add('--no-train', action='store_true',
        help='rows without checkpoint that were not trained get no accuracy')
    add('--no-speed', action='store_true',
        help='do not time the models, nor what memory they take')
    add('--redo', action='store_true',
        help='forget what is kept of these rows')
    add('--device', default='cpu', help='where models are timed: cpu or cuda')
    return parser.parse_args()


def chosen(entries: List[Entry], names: Optional[List[str]]) -> List[Entry]:
    """The rows of some names, all if there are none."""
    known = {x.row.name: x for x in entries}
    for name in names or ():
        if name not in known:
            raise SystemExit(f'ERROR: --rows {name!r}: the board has no such '
                             f'row. Remedy: {did_you_mean(name, known)}')
    return [x for x in entries if not names or x.row.name in names]


def prepare(board: Board, folder: str) -> bool:
    """Makes the data if they are not there; whether they are."""
    if board.data is None or osp.exists(board.data):
        return True
    if board.prepare is None:
        print(f'{board.data} is not there: no row gets an accuracy')
        return False
    for line in board.prepare:
        command = [find_file(x, folder) if x.endswith('.py') else x
                   for x in shlex.split(line)]
        print('$', shlex.join(command), flush=True)
        if command[0] == 'python':
            command[0] = sys.executable
        if subprocess.run(command).returncode:
            break
    if not osp.exists(board.data):
        print(f'that made no {board.data}: no row gets an accuracy')
        return False
    return True


def learn(entry: Entry, every: List[Entry], may_train: bool) -> None:
    """Trains and tests a row."""
    if entry.checkpoint is None and entry.row.train:
        start = None
        if entry.row.load_from:
            start = next(x.checkpoint for x in every
                         if x.row.name == entry.row.load_from)
            if start is None:
                entry.error = entry.error or (
                    f'there is no checkpoint of {entry.row.load_from!r} to '
                    'start from. Remedy: give or train that row')
        if may_train or entry.trained(start):
            entry.attempt(lambda: entry.train(start))
    if entry.checkpoint is not None:
        entry.attempt(entry.test)


def report(board: Board, entries: List[Entry], where: str, out: Path) -> None:
    """Prints the table and writes all files."""
    results = [
        dict(x.result, name=x.row.name, config=x.row.config, error=x.error,
             published=x.row.published, source=x.row.source)
        for x in entries]
    frame = table_of(results, board.metric, board.batch_size)
    text = '\n\n'.join((
        markdown_of(frame, board.metric, board.batch_size),
        clips_note(results)))
    print(f'\n{text}\n')
    out.mkdir(parents=True, exist_ok=True)
    (out / 'board.json').write_text(
        json.dumps(dict(machine=where, rows=results), indent=1))
    frame.to_csv(out / 'board.csv', index=False)
    (out / 'board.md').write_text(f'{where}\n\n{text}\n')
    print(f'{where}\n{out}/board.md, .csv, .json, .png')
    try:
        plot(results, board.title, board.metric, board.chance,
             str(out / 'board.png'))
    except ImportError as e:
        print(f'no plot: {e}. Remedy: pip install matplotlib')


@tells_errors
def main() -> None:
    args = parse_args()
    folder, name = osp.split(args.board)
    board = read_board(args.board)
    device = set_up(args.device, board.threads)
    out = Path(args.out_dir or f'work_dirs/boards/{osp.splitext(name)[0]}')
    every = [Entry(board, row, folder, out) for row in board.rows]
    entries = chosen(every, args.rows)
    there = prepare(board, folder)
    for entry in entries:
        if args.redo:
            entry.kept.clear()
        entry.attempt(entry.cost)
    if there:
        with ThreadPoolExecutor(board.jobs) as pool:
            for later in (False, True):
                list(pool.map(
                    lambda x: learn(x, every, not args.no_train),
                    [x for x in entries if bool(x.row.load_from) == later]))
        for entry in entries:
            if entry.checkpoint is not None:
                entry.attempt(entry.support)
    if not args.no_speed:
        torch.manual_seed(0)
        time_rows(entries, every[0], device)
    report(board, entries, machine(device), out)
    if any(x.error for x in entries):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
