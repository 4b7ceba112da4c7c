#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Compute the frame mAP of a results CSV, in both conventions.

    python tools/analysis_tools/eval_ava_csv.py results.csv \
        --ann-file ava_val_v2.2.csv \
        --label-file ava_action_list_v2.2_for_activitynet_2019.pbtxt \
        --exclude-file ava_val_excluded_timestamps_v2.2.csv

AVADetectionMetric writes such a file (its results_file); other programs that
write ``video,timestamp,x1,y1,x2,y2,action_id,score`` are served as well.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmaction_memvit.annotations.ava import (
    read_action_boxes,
    read_exclusions,
)
from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.command_line import make_parser, tells_errors
from mmaction_memvit.evaluation.functional import (
    evaluate_ava,
    find_problems,
)


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('results', help='CSV of video,timestamp,x1,y1,x2,y2,action_id,score')
    add('--ann-file', required=True, help='CSV of the ground truth')
    add('--label-file',
        help='label map (.pbtxt); default: the ids of the ground truth')
    add('--exclude-file', help='CSV of video,timestamp that do not count')
    add('--classes', type=int, nargs='+', metavar='ID',
        help="evaluate these classes only; default: the label map's")
    add('--iou-thr', type=float, default=0.5,
        help='overlap from which on a box is found')
    return parser.parse_args(args)


@tells_errors
def main(args: Sequence[str] | None = None) -> dict[str, float]:
    """Print the table and the means.

    Returns:
        dict[str, float]: The means by name.
    """
    args = parse_args(args)
    truth = read_action_boxes(args.ann_file)
    found = read_action_boxes(args.results, has_scores=True)
    excluded = read_exclusions(
        args.exclude_file) if args.exclude_file else set()
    names = read_label_map(
        args.label_file) if args.label_file else dict.fromkeys(
            sorted(set(truth.labels.tolist())), '')
    unknown = sorted(set(args.classes or ()) - set(names))
    if unknown:
        raise ValueError(
            f'--classes has the ids {unknown}, which '
            f'{args.label_file or args.ann_file} does not list.')
    others = sorted(set(found.labels.tolist()) - set(names))
    if others:
        print(f'NOTE: detections of the classes {others[:20]} are passed '
              f'over; {args.label_file or args.ann_file} does not list '
              'them.')
    for message in find_problems(truth, found, excluded):
        print(f'WARNING: {message}')
    report = evaluate_ava(truth, found, names, args.classes, excluded,
                          args.iou_thr)
    scores = report.metrics('mmaction2')
    print(report.table())
    print()
    for name, score in scores.items():
        print(f'mAP/{name}: {score:.4f}')
    return scores


if __name__ == '__main__':
    main()
