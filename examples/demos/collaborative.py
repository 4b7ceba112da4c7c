# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""DistantPair: what a memory shared by a video's clips is good for.

Makes videos with two signs, seconds apart, of which only both together tell
the label. Trains a tiny SlowOnly to name the signs; from there the same
network, on 8 clips of each video, with collaborative memory and without.
Tests all through MMEngine's runner, and prints how often they are right.
"""
import argparse
import os
import os.path as osp

from mmengine.fileio import load

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
    question_records,
)
from .running import checkpoint_of, generate, relative, train_and_test

FOLDER = 'recognition/collaborative/slowonly-tiny'
SIGNS = f'{FOLDER}_distant-pair-signs-rgb'
MODELS = {'with memory': f'{FOLDER}-memory_distant-pair-rgb',
          'without memory': f'{FOLDER}-no-memory_distant-pair-rgb'}
# Where the configs look for the videos, from the folder they run in.
DATA = 'data/distant_pair'
AMOUNTS = {'train-families': (36, 'scenes to train on, of each 16 videos'),
           'val-families': (12, 'scenes to test on, of each 16 videos')}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    # Layers this small are slower in two threads; the second core reads.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    generate('distant-pair', args.out_dir, DATA, '--train-families',
             args.train_families, '--val-families', args.val_families,
             '--seed', args.seed)
    meta = load(osp.join(args.out_dir, DATA, 'distant_pair_meta.json'))
    questions = meta['splits']['val']['questions']

    def predictions(name: str, config: str, *options: str) -> tuple:
        work_dir = train_and_test(name, args.out_dir, config, args.seed,
                                  args.epochs, options,
                                  ('--dump', '{work_dir}/predictions.pkl'))
        return (checkpoint_of(work_dir),
                load(osp.join(work_dir, 'predictions.pkl')))

    # Both models start from a backbone that knows the signs.
    weights, named = predictions('the backbone on single signs', SIGNS)
    right = sum(
        int(x['pred_score'].argmax()) == int(x['gt_label']) for x in named)
    tables = {
        name: accuracy_by_delay(
            question_records(
                predictions(name, config, f'load_from={weights}')[1],
                questions))
        for name, config in MODELS.items()}

    plot = osp.join(args.out_dir, 'pair_accuracy_by_distance.png')
    plot_accuracy_by_delay(tables, plot, meta['chance'],
                           title='DistantPair: accuracy by distance',
                           xlabel='seconds from the first sign to the second')
    print('\n=== right labels by delay, in seconds from the first sign to the '
          f'second, on {len(questions)} held-out videos of '
          f'{meta["num_frames"] / meta["fps"]:g} s\n')
    print(format_delay_table(tables, meta['chance']))
    print('\nsingle signs named rightly by the backbone before: '
          f'{right / len(named):.1%} of {len(named)}')
    print(f'\nplot: {relative(plot)}')
