# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""AVT on the generated kitchen, with its history and without, in minutes.

What somebody will use a second from now was shown 4 to 8 clips before. A tiny
AVT, one frame a clip, learns to foretell it, with the last 8 clips and with
none. Both are tested through MMEngine's runner; printed are the measures of
the challenge, and how often the noun is right by delay.
"""
import argparse
import os.path as osp

from mmaction_memvit.evaluation.submissions.epic_dump import (
    read_dumped_actions,
    read_epic_dump,
)
from mmaction_memvit.evaluation.submissions.epic_truth import format_epic_table

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
)
from .epic import AMOUNTS, make_kitchen, remembered_nouns
from .running import relative, train_and_test

__all__ = ['AMOUNTS', 'main']
CONFIG = 'anticipation/avt/avt-tiny-{}_epic-generated-anticipation-rgb'
MODELS = {'with history': 'm8-u14', 'without history': 'm0'}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    meta, truth = make_kitchen(args)
    uses = [x for x in meta['uses'] if x['split'] == 'validation']
    tables, report = {}, []
    for name, variant in MODELS.items():
        work_dir = train_and_test(
            name, args.out_dir, CONFIG.format(variant), args.seed,
            args.epochs, test_args=(
                '--cfg-options',
                'test_evaluator.dump_file={work_dir}/val_scores.npz'))
        dump = osp.join(work_dir, 'val_scores.npz')
        names, scores = read_epic_dump(dump)
        truth.take_actions(read_dumped_actions(dump))
        rows = [truth.segments.rows_by_id[x] for x in names]
        measures = truth.measure('action_anticipation', scores, rows)
        report.append(f'{name}\n{format_epic_table(measures)}')
        tables[name] = accuracy_by_delay(remembered_nouns(dump, uses))
    plot = osp.join(args.out_dir, 'avt_by_delay.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'], title='nouns that are to be remembered')
    print(f'\n=== {args.val_videos} held-out videos, in per cent\n')
    print('\n\n'.join([
        *report, 'noun right (top-1), by delay in clips since it was shown',
        format_delay_table(tables, meta['chance'])]))
    print(f'\nplot: {relative(plot)}')
