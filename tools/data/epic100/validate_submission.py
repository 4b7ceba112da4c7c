# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Says whether a submission to an EPIC-KITCHENS-100 challenge is in order.

Prints everything that is wrong and ends with exit code 1 if there is
anything.
"""
import sys

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.evaluation.submissions.epic_submission import (
    validate_epic_submission,
)
from mmaction_memvit.evaluation.submissions.epic_truth import CHALLENGES


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('submission', help='the zip file')
    add('segments',
        help='list of the segments that must be there, such as '
        'EPIC_100_test_timestamps.csv')
    add('--challenge', choices=sorted(CHALLENGES),
        help='what it must be for (default: either)')
    add('--num-verbs', type=int, default=97)
    add('--num-nouns', type=int, default=300)
    return parser.parse_args(argv)


@exit_code
def main(argv=None):
    """Checks the file; returns the exit code."""
    args = parse_args(argv)
    segments = read_epic_segments(
        args.segments, num_verbs=args.num_verbs, num_nouns=args.num_nouns,
        missing_times='keep', reversed_times='swap')
    problems = validate_epic_submission(args.submission,
                                        segments.narration_ids, args.challenge,
                                        args.num_verbs, args.num_nouns)
    for problem in problems:
        print(f'- {problem}')
    print(f'{args.submission}: ' + (
        f'{len(problems)} problems' if problems else
        f'in order, {len(segments)} segments'))
    return int(bool(problems))


if __name__ == '__main__':
    sys.exit(main())
