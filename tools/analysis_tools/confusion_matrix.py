#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Accuracy by class and confusion matrix of videos, or of labelled segments.

    python tools/test.py CONFIG CHECKPOINT --dump scores.pkl
    python tools/analysis_tools/confusion_matrix.py scores.pkl

Clips of a stream are put together first, as VideoAccMetric does it; dumps of
MMAction2's models are counted as they are. MMAction2's own tool draws pictures
and does the same, where it starts: its wheel lacks a module that it imports.
"""
import argparse
import sys
from typing import Optional, Sequence

import numpy as np
import pandas as pd
from mmengine.evaluator import Evaluator
from mmengine.fileio import dump, load

import mmaction_memvit  # noqa: F401  (before MMAction2, which it heals)
from mmaction_memvit.annotations.class_names import read_class_names
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.messages import text_table


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('dump', help='predictions of tools/test.py --dump')
    add('--label-file', help='names of classes, one a line')
    add('--out', help='where the matrix goes (.pkl, .csv)')
    add('--show-path', help='where its picture goes')
    return parser.parse_args(argv)


def find_matrix(path: str) -> np.ndarray:
    """Rows are labels, columns predictions: (num_classes, num_classes).

    Raises:
        ValueError: If the dump is not of scores of classes.
    """
    from mmaction.evaluation import ConfusionMatrix
    samples = load(path)
    if not samples or 'pred_score' not in samples[0]:
        raise ValueError(
            f'{path}: no scores of classes, as a recognizer gives. Remedy: '
            'of detections AVADetectionMetric gives a table by class, of '
            'verbs and nouns eval_epic_dump.py')
    found = Evaluator(ConfusionMatrix()).offline_evaluate(samples)
    return found['confusion_matrix/result'].numpy()


def by_class(matrix: np.ndarray, names: Sequence[str]) -> str:
    """A table of the accuracy of every class that has a label."""
    rows = [('class', 'labelled', 'right', 'accuracy', 'most taken for')]
    for k, row in enumerate(matrix):
        if not row.sum():
            continue
        others = np.where(np.arange(len(row)) == k, 0, row)
        other = int(others.argmax())
        rows.append((names[k], row.sum(), row[k], f'{row[k] / row.sum():.4f}',
                     f'{names[other]} ({others[other]})'
                     if others.any() else '-'))
    right, total = np.trace(matrix), matrix.sum()
    rows.append(('all', total, right, f'{right / total:.4f}', ''))
    return text_table(rows, left=(0, 4))


@exit_code
def main(argv: Optional[Sequence[str]] = None) -> int:
    """Prints the table, and writes what is asked for."""
    args = parse_args(argv)
    matrix = find_matrix(args.dump)
    names = list(map(str, range(len(matrix))))
    if args.label_file:
        names = read_class_names(args.label_file)
    if len(names) != len(matrix):
        raise ValueError(f'{args.label_file}: {len(names)} names, but '
                         f'scores are of {len(matrix)} classes. Remedy: '
                         'one name a line for each class')
    print(by_class(matrix, names))
    if args.out and args.out.endswith('.csv'):
        pd.DataFrame(matrix, names, names).to_csv(args.out)
    elif args.out:
        dump(matrix, args.out)
    if args.show_path:
        from mmaction.evaluation import ConfusionMatrix
        ConfusionMatrix.plot(matrix, classes=names).savefig(args.show_path)
    return 0


if __name__ == '__main__':
    sys.exit(main())
