# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Measures dumped scores of EPIC-KITCHENS-100 and writes the submission.

Dumps are written by EpicRecognitionMetric and EpicAnticipationMetric with
``dump_file``. Measures need a list of segments with labels; a submission is
written with --submission, also for segments without labels.
"""
import json
import os.path as osp
import sys

import pandas as pd

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.evaluation.metrics import (
    EpicAnticipationMetric,
    EpicRecognitionMetric,
)
from mmaction_memvit.evaluation.submissions.epic_dump import (
    read_dumped_actions,
    read_dumped_challenge,
    read_epic_dump,
)
from mmaction_memvit.evaluation.submissions.epic_submission import (
    SLS_FIELDS,
    validate_epic_submission,
    write_epic_submission,
)
from mmaction_memvit.evaluation.submissions.epic_truth import CHALLENGES

SUBSETS = dict(
    tail_verbs='EPIC_100_tail_verbs.csv', tail_nouns='EPIC_100_tail_nouns.csv',
    unseen_participants='EPIC_100_unseen_participant_ids_validation.csv')


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


def measure(args, ids, scores):
    """Measures of a dump, as the metric gives them; and the metric."""
    challenge, tau_a = read_dumped_challenge(args.dump)
    if challenge not in (None, args.challenge):
        raise ValueError(f'{args.dump} holds scores of {challenge}, not of '
                         f'{args.challenge}. Remedy: {challenge}, or the dump '
                         f'of a test of {args.challenge}')
    kind = (EpicRecognitionMetric if args.challenge == 'action_recognition'
            else EpicAnticipationMetric)
    metric = kind(
        args.segments, **({} if tau_a is None else dict(tau_a=tau_a)), **{
            name: args.ann_root and osp.join(args.ann_root, file)
            for name, file in SUBSETS.items()}, actions=args.actions,
        num_verbs=args.num_verbs, num_nouns=args.num_nouns,
        missing=args.missing, average='score',
        ann_options=dict(fps=args.fps, reversed_times=args.reversed_times))
    actions = read_dumped_actions(args.dump)
    if actions is not None:
        metric.truth.take_actions(actions)
    if 'action' in scores and metric.truth.actions is None:
        raise ValueError(f'{args.dump} holds scores of actions; give the list '
                         'of actions by --actions')
    metric.process(None, [
        dict(narration_id=name,
             pred_score={task: x[i] for task, x in scores.items()})
        for i, name in enumerate(ids)])
    found = metric.evaluate(len(ids))
    found.pop('epic/num_segments', None)
    return {k.partition('/')[2]: x for k, x in found.items()}, metric.truth


def submit(args, truth, ids, scores):
    """Writes and checks the submission; returns the number of problems."""
    # A submission needs segments that cannot be measured, too, such as those
    # without times; validate_submission.py reads the list in this way.
    wanted = read_epic_segments(args.segments, fps=args.fps,
                                num_verbs=args.num_verbs,
                                num_nouns=args.num_nouns, missing_times='keep',
                                reversed_times='swap').narration_ids
    known = set(ids)
    own = [x for x in wanted if x in known or args.missing != 'leave_out'
           or x not in truth.segments.rows_by_id]
    # NaN is written as 0.
    without = write_epic_submission(
        args.submission, own, {
            task: pd.DataFrame(array, ids).reindex(own).to_numpy()
            for task, array in scores.items()}, args.challenge,
        **dict(zip(SLS_FIELDS, args.sls)), actions=truth.actions,
        num_verbs=args.num_verbs, num_nouns=args.num_nouns)
    problems = validate_epic_submission(args.submission, wanted,
                                        args.challenge, args.num_verbs,
                                        args.num_nouns)
    for problem in problems:
        print(f'- {problem}')
    print(f'{args.submission}: {len(own)} segments, {without} of them without '
          f'scores (all 0), {len(problems)} problems')
    return len(problems)


@exit_code
def main(argv=None):
    """Measures a dump; returns the exit code."""
    args = parse_args(argv)
    ids, scores = read_epic_dump(args.dump)
    measures, truth = measure(args, ids, scores)
    if args.out:
        with open(args.out, 'w') as f:
            json.dump(measures, f, indent=1)
    problems = submit(args, truth, ids, scores) if args.submission else 0
    return int(bool(problems))


if __name__ == '__main__':
    sys.exit(main())
