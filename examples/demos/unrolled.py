# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue, trained through memory: questions beyond what is attended to.

A question comes 1 to 8 clips after its answer was shown, but the model attends
to the memory of 2 clips. Trained as published, with the gradient stopped at
memory, and trained on windows of clips (unroll), it is tested on held-out
videos, and how often it is right is printed by delay.
"""
import argparse
import os.path as osp

from mmengine.fileio import load

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
    question_records,
)
from .longcue import AMOUNTS, DATA
from .running import generate, relative, train_and_test

__all__ = ['AMOUNTS', 'main']
MODELS = {
    'unrolled': 'recognition/memvit/memvit-tiny-m2-u12_longcue-rgb',
    'stop-gradient': 'recognition/memvit/memvit-tiny-m2_longcue-rgb'
}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    generate('longcue', args.out_dir, DATA, '--train-videos',
             args.train_videos, '--val-videos', args.val_videos, '--size', 32,
             '--seed', args.seed)
    meta = load(osp.join(args.out_dir, DATA, 'longcue_meta.json'))
    questions = meta['splits']['val']['questions']
    tables = {}
    for name, config in MODELS.items():
        run = train_and_test(
            name,
            args.out_dir,
            config,
            args.seed,
            args.epochs,
            test_args=('--dump', '{work_dir}/predictions.pkl'))
        tables[name] = accuracy_by_delay(
            question_records(
                load(osp.join(run, 'predictions.pkl')), questions))
    plot = osp.join(args.out_dir, 'accuracy_by_delay_unrolled.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'],
        title='LongCue with a memory of 2 clips: accuracy by delay')
    print('\n=== accuracy by delay, in clips from cue to question, with a '
          f'memory of 2 clips, on {args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print(f'\nplot: {relative(plot)}')
