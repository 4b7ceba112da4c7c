# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Measures dumped scores of EPIC-KITCHENS-100 and writes the submission.

Dumps are written by EpicRecognitionMetric and EpicAnticipationMetric with
``dump_file``. Measures need a list of segments with labels; a submission is
written with --submission, also for segments without labels.
"""
import json
import os.path as osp
import sys

import numpy as np
import pandas as pd

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.command_line import make_parser
from mmaction_memvit.evaluation.submissions.epic_dump import (
    read_dumped_actions,
    read_epic_dump,
)
from mmaction_memvit.evaluation.submissions.epic_submission import (
    SLS_FIELDS,
    validate_epic_submission,
    write_epic_submission,
)
from mmaction_memvit.evaluation.submissions.epic_truth import (
    CHALLENGES,
    EpicTruth,
    format_epic_table,
)


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('dump', help='.npz or .pkl file with scores')
    add('segments', help='list of segments')
    add('challenge', choices=sorted(CHALLENGES))
    add('--ann-root',
        help='folder with EPIC_100_tail_verbs.csv, EPIC_100_tail_nouns.csv '
        'and EPIC_100_unseen_participant_ids_validation.csv')
    add('--actions', nargs='+',
        help='actions.csv, or training and validation lists, if the dump '
        'holds scores of actions but not which these are')
    add('--num-verbs', type=int, default=97, help='classes')
    add('--num-nouns', type=int, default=300, help='classes')
    add('--fps', type=float, default=30., help='rate of lists without header')
    add('--reversed-times', choices=('error', 'skip', 'swap'), default='error',
        help='segments that stop before they start: an error, left out, or '
        'start and stop exchanged; as in ann_options of the metric')
    add('--missing', choices=('error', 'miss', 'leave_out'), default='error',
        help='segments that are not in the dump: an error, missed, or left '
        'out')
    add('--out', help='JSON file for the measures')
    add('--submission', help='zip file to write')
    add('--sls', nargs=3, type=int, metavar=('PT', 'TL', 'TD'),
        help='supervision levels of the submission: pre-training, training '
        'labels, training data')
    args = parser.parse_args(argv)
    if args.submission and not args.sls:
        parser.error('--submission needs --sls PT TL TD')
    return args


def arrange(args, truth):
    """Rows of the list that are measured, and their scores in this order."""
    ids, scores = read_epic_dump(args.dump)
    table = truth.segments
    strange = [name for name in ids if name not in table.rows_by_id]
    if strange:
        raise ValueError(f'{len(strange)} segments of {args.dump} are not in '
                         f'{args.segments}, such as {strange[:3]}')
    for task, array in scores.items():
        size = truth.num_classes.get(task)
        if size is None:
            raise ValueError(f'{args.dump} holds scores of actions; give the '
                             'list of actions by --actions')
        if array.shape[1] != size:
            raise ValueError(f'{args.dump} holds scores of {array.shape[1]} '
                             f'classes of {task}, but there are {size}; if '
                             'these are not the classes of EPIC-100, set '
                             f'--num-{task}s {array.shape[1]}')
    known = set(ids)
    missing = [name for name in table.narration_ids if name not in known]
    if missing:
        text = (f'{len(missing)} of {len(table)} segments of {args.segments} '
                f'are not in {args.dump}, such as {missing[:3]}')
        if args.missing == 'error':
            raise ValueError(f'{text}. Remedy: evaluate all of them, or use '
                             '--missing miss or --missing leave_out')
        print(f'{text}; they ' + ('count as missed' if args.missing == 'miss'
                                  else 'are left out'))
    rows = np.asarray([row for row, name in enumerate(table.narration_ids)
                       if name in known or args.missing != 'leave_out'], int)
    return rows, select(scores, ids, [table.narration_ids[x] for x in rows])


def select(scores, ids, wanted):
    """Scores of the wanted segments; NaN of those that are not there."""
    return {task: pd.DataFrame(array, list(ids)).reindex(wanted).to_numpy()
            for task, array in scores.items()}


def submit(args, truth, rows, scores):
    """Writes and checks the submission; returns the number of problems."""
    # A submission needs segments that cannot be measured, too, such as those
    # without times; validate_submission.py reads the list in this way.
    wanted = read_epic_segments(args.segments, fps=args.fps,
                                num_verbs=args.num_verbs,
                                num_nouns=args.num_nouns, missing_times='keep',
                                reversed_times='swap').narration_ids
    table = truth.segments
    measured = dict.fromkeys(table.narration_ids[row] for row in rows)
    ids = [name for name in wanted
           if name in measured or name not in table.rows_by_id]
    # NaN is written as 0.
    without = write_epic_submission(
        args.submission, ids, select(scores, measured, ids), args.challenge,
        **dict(zip(SLS_FIELDS, args.sls)), actions=truth.actions,
        num_verbs=args.num_verbs, num_nouns=args.num_nouns)
    problems = validate_epic_submission(args.submission, wanted,
                                        args.challenge, args.num_verbs,
                                        args.num_nouns)
    for problem in problems:
        print(f'- {problem}')
    print(f'{args.submission}: {len(ids)} segments, {without} of them without '
          f'scores (all 0), {len(problems)} problems')
    return len(problems)


def main(argv=None):
    """Measures a dump; returns the exit code."""
    args = parse_args(argv)
    try:
        truth = EpicTruth(
            args.segments, *(
                args.ann_root and osp.join(args.ann_root, f'EPIC_100_{x}.csv')
                for x in ('tail_verbs', 'tail_nouns',
                          'unseen_participant_ids_validation')),
            actions=args.actions, num_verbs=args.num_verbs,
            num_nouns=args.num_nouns,
            ann_options=dict(fps=args.fps, reversed_times=args.reversed_times))
        actions = read_dumped_actions(args.dump)
        if actions is not None:
            truth.take_actions(actions)
        rows, scores = arrange(args, truth)
        measures = truth.measure(args.challenge, scores, rows)
        if measures:
            print(f'{len(rows)} segments, in per cent\n'
                  f'{format_epic_table(measures)}')
        else:
            print(f'{args.segments} has no labels, so nothing is measured')
        if args.out:
            with open(args.out, 'w') as f:
                json.dump(measures, f, indent=1)
        problems = submit(args, truth, rows, scores) if args.submission else 0
    except (OSError, ValueError, ImportError) as e:
        print(f'error: {e}', file=sys.stderr)
        return 2
    return int(bool(problems))


if __name__ == '__main__':
    sys.exit(main())
