# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue with boxes: action detection that needs memory, in some minutes.

Makes videos of two persons; what a person does is told by a sign that person
showed 1 to 6 clips before. Trains a tiny MeMViT detector with memory (of the
backbone and of the boxes) and the same one without, tests both through
MMEngine's runner, and prints their mAP and how often they are right by delay.
"""
import argparse
import os.path as osp

from generated.longcue_boxes import answer_box_questions
from mmengine.fileio import load

from mmaction_memvit.annotations.ava import (
    read_action_boxes,
    read_exclusions,
)
from mmaction_memvit.annotations.label_map import read_label_map
from mmaction_memvit.evaluation.functional import evaluate_ava
from mmaction_memvit.visualization.delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
)

from .running import generate, relative, train_and_test

MODELS = {
    'with memory': 'detection/memvit/memvit-tiny-m6_longcue-boxes-rgb',
    'without memory': 'detection/memvit/memvit-tiny-m0_longcue-boxes-rgb'
}
# Where the configs look for the videos, from the folder they run in.
DATA = 'data/longcue_boxes'
AMOUNTS = {
    'train-videos': (128, 'videos to train on'),
    'val-videos': (32, 'videos to test on')
}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    generate('longcue-boxes', args.out_dir, DATA, '--train-videos',
             args.train_videos, '--val-videos', args.val_videos, '--seed',
             args.seed)
    data = osp.join(args.out_dir, DATA)
    meta = load(osp.join(data, 'longcue_boxes_meta.json'))
    questions = meta['splits']['val']['questions']
    truth = read_action_boxes(osp.join(data, 'val.csv'))
    excluded = read_exclusions(osp.join(data, 'val_excluded.csv'))
    names = read_label_map(osp.join(data, 'label_map.pbtxt'))

    tables, reports = {}, {}
    for name, config in MODELS.items():
        work_dir = train_and_test(
            name,
            args.out_dir,
            config,
            args.seed,
            args.epochs,
            test_args=('--cfg-options',
                       'test_evaluator.results_file={work_dir}/results.csv'))
        results = osp.join(work_dir, 'results.csv')
        tables[name] = accuracy_by_delay(
            answer_box_questions(results, questions))
        reports[name] = evaluate_ava(
            truth,
            read_action_boxes(results, has_scores=True),
            names,
            excluded=excluded)

    plot = osp.join(args.out_dir, 'box_accuracy_by_delay.png')
    plot_accuracy_by_delay(
        tables,
        plot,
        meta['chance'],
        title='LongCue with boxes: accuracy by delay')
    print('\n=== right actions by delay, in clips from cue to question, on '
          f'{args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print()
    for name, report in reports.items():
        print(f'mAP {name}: {report.metrics("mmaction2")["overall"]:.4f} '
              f'({report.metrics("official")["overall"]:.4f} by the official '
              'convention)')
    print(f'\nplot: {relative(plot)}')
