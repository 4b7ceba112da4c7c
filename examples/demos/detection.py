# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue with boxes: action detection that needs memory, in some minutes.

Makes videos of two persons; what a person does is told by a sign that person
showed 1 to 6 clips before. Trains a tiny MeMViT detector with memory (of the
backbone and of the boxes) and the same one without, tests both through
MMEngine's runner, and prints their mAP and how often they are right by delay.
"""
import argparse
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.fileio import load

from mmaction_memvit.annotations.ava import (
    read_action_boxes,
    read_exclusions,
)
from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.evaluation.functional import evaluate_ava
from mmaction_memvit.visualization.person_tracker import pairwise_iou

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
)
from .running import generate, relative, train_and_test

MODELS = {
    'with memory': 'detection/memvit/memvit-tiny-m6_longcue-boxes-rgb',
    'without memory': 'detection/memvit/memvit-tiny-m0_longcue-boxes-rgb'}
# Where the configs look for the videos, from the folder they run in.
DATA = 'data/longcue_boxes'
AMOUNTS = {'train-videos': (128, 'videos to train on'),
           'val-videos': (32, 'videos to test on')}


def answer_box_questions(results_file: str,
                         questions: Sequence[Mapping[str, Any]],
                         iou_thr: float = 0.5) -> list[dict[str, Any]]:
    """Read from a detector's results what it answered to every question.

    The answer is the action with the highest score among the detections that
    lie on the questioned person, by an overlap of ``iou_thr`` at least.

    Args:
        results_file (str): Results in AVA's form.
        questions (Sequence[Mapping]): ``splits/val/questions`` of
            ``longcue_boxes_meta.json``.
        iou_thr (float): Intersection over union. Defaults to 0.5.

    Returns:
        list[dict]: The questions, in their order, each with ``pred`` added,
        the id of the action or -1 where nothing was detected.
    """
    rows = read_action_boxes(results_file, has_scores=True)
    missing = sorted({q['video'] for q in questions} -
                     {video for video, _ in rows.keys})
    if missing:
        raise ValueError(
            f'{results_file} has no detection in {len(missing)} of the '
            f"questions' videos, the first is {missing[0]!r}; results and "
            'questions must be of the same split')
    numbers = {key: number for number, key in enumerate(rows.keys)}
    records = []
    for question in questions:
        image = numbers.get((question['video'], question['timestamp']), -1)
        found = np.flatnonzero(rows.images == image)
        overlaps = pairwise_iou(
            rows.boxes[found], np.array([question['box']]))[:, 0]
        found = found[overlaps >= iou_thr]
        # Of equal scores the higher id, whatever the order of the file.
        best = max(((rows.scores[row], int(rows.labels[row]))
                    for row in found), default=(0, -1))
        records.append({**question, 'pred': best[1]})
    return records


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
            name, args.out_dir, config, args.seed, args.epochs,
            test_args=('--cfg-options',
                       'test_evaluator.results_file={work_dir}/results.csv'))
        results = osp.join(work_dir, 'results.csv')
        tables[name] = accuracy_by_delay(
            answer_box_questions(results, questions))
        reports[name] = evaluate_ava(
            truth, read_action_boxes(results, has_scores=True), names,
            excluded=excluded)

    plot = osp.join(args.out_dir, 'box_accuracy_by_delay.png')
    plot_accuracy_by_delay(tables, plot, meta['chance'],
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
