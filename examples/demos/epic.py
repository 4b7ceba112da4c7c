# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""EPIC-KITCHENS-100 in small, from videos to submissions, in some minutes.

Makes a set of videos in the official form in which what is used was shown 4
to 8 clips before. For recognition, and from there for anticipation, it trains
a tiny MeMViT with memory and the same one without, tests both through
MMEngine's runner, and prints the measures of the challenge and how often the
remembered noun is right by delay. The models with memory also score the
unlabelled test videos; their submissions are written and checked.
"""
import argparse
import os.path as osp
from typing import Dict, List, Sequence, Tuple

import numpy as np
from mmengine.fileio import load

from mmaction_memvit.evaluation.submissions.epic_dump import read_epic_dump
from mmaction_memvit.evaluation.submissions.epic_truth import (
    EpicTruth,
    format_epic_table,
)

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
)
from .running import (
    checkpoint_of,
    generate,
    relative,
    run,
    test,
    train_and_test,
)

TASKS = {
    'recognition':
    'recognition/epic100/memvit-tiny-m{}_epic-generated-rgb',
    'anticipation':
    'anticipation/epic100/'
    'memvit-tiny-causal-m{}_epic-generated-anticipation-rgb'
}
MODELS = {'with memory': 8, 'without memory': 0}
# Where the configs look for the videos, from the folder they run in.
DATA = 'data/epic_generated'
# How a submission says what its models learnt from: no pre-training, the
# verbs and nouns of segments, the training set.
SLS = (0, 3, 3)
AMOUNTS = {'train-videos': (120, 'videos to train on, a multiple of 6'),
           'val-videos': (24, 'videos to test on, a multiple of 6')}


def remembered_nouns(dump: str, uses: List[dict]) -> List[dict]:
    """The model's noun of every use, beside the right one."""
    names, scores = read_epic_dump(dump)
    # What could not be observed has no scores and is wrong.
    nouns = np.where(
        np.isnan(scores['noun']).any(1), -1, scores['noun'].argmax(1))
    found = dict(zip(names, nouns.tolist()))
    return [
        dict(delay=use['delay'], label=use['noun'],
             pred=found[use['narration_id']]) for use in uses]


def submit(out_dir: str, task: str, config: str, work_dir: str,
           sizes: Sequence[str]) -> None:
    """Score the test videos; write and check the submission."""
    segments = f'{DATA}/annotations/EPIC_100_test_timestamps.csv'
    dump = osp.join(work_dir, 'test_scores.npz')
    archive = osp.join(work_dir, 'submission.zip')
    challenge = f'action_{task}'
    test(f'{task} on the test videos', out_dir, config, work_dir,
         '--cfg-options', f'test_dataloader.dataset.ann_file={segments}',
         f'test_evaluator.ann_file={segments}',
         f'test_evaluator.dump_file={dump}')
    run(f'{task}: write the submission', out_dir,
        'tools/analysis_tools/eval_epic_dump.py', dump, segments, challenge,
        '--submission', archive, '--sls', *SLS, *sizes)
    run(f'{task}: check the submission', out_dir,
        'tools/data/epic100/validate_submission.py', archive, segments,
        '--challenge', challenge, *sizes)


def compare(args: argparse.Namespace, task: str, truth: EpicTruth, meta: dict,
            starts: Dict[str, str]) -> str:
    """Train, test and submit with memory and without; the report.

    ``starts`` are checkpoints to start from, by model, filled with those that
    came out.
    """
    sizes = ['--num-verbs', len(meta['verbs']), '--num-nouns',
             len(meta['nouns'])]
    uses = [x for x in meta['uses'] if x['split'] == 'validation']
    tables, measures = {}, {}
    for name, mem_len in MODELS.items():
        config = TASKS[task].format(mem_len)
        work_dir = train_and_test(
            f'{task} {name}', args.out_dir, config, args.seed, args.epochs,
            [f'load_from={starts[name]}'] if name in starts else [],
            ('--cfg-options',
             'test_evaluator.dump_file={work_dir}/val_scores.npz'))
        starts[name] = checkpoint_of(work_dir)
        dump = osp.join(work_dir, 'val_scores.npz')
        names, scores = read_epic_dump(dump)
        rows = [truth.segments.rows_by_id[x] for x in names]
        measures[name] = truth.measure(f'action_{task}', scores, rows)
        tables[name] = accuracy_by_delay(remembered_nouns(dump, uses))
        if mem_len:
            submit(args.out_dir, task, config, work_dir, sizes)
    plot_accuracy_by_delay(
        tables, osp.join(args.out_dir, f'epic_{task}_by_delay.png'),
        meta['chance'], title=f'{task}: nouns that are to be remembered')
    return '\n\n'.join([
        *(f'{name}\n{format_epic_table(x)}' for name, x in measures.items()),
        'noun right (top-1), by delay in clips since it was shown',
        format_delay_table(tables, meta['chance'])])


def make_kitchen(args: argparse.Namespace) -> Tuple[dict, EpicTruth]:
    """Make the videos; what they hold, and what the challenge measures by."""
    generate('kitchen', args.out_dir, DATA, '--train-videos',
             args.train_videos, '--validation-videos', args.val_videos,
             '--seed', args.seed)
    meta = load(osp.join(args.out_dir, DATA, 'epic_meta.json'))
    lists = osp.join(args.out_dir, DATA, 'annotations', 'EPIC_100_')
    return meta, EpicTruth(lists + 'validation.csv', lists + 'tail_verbs.csv',
                           lists + 'tail_nouns.csv',
                           lists + 'unseen_participant_ids_validation.csv',
                           num_verbs=len(meta['verbs']),
                           num_nouns=len(meta['nouns']))


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    meta, truth = make_kitchen(args)
    checkpoints: Dict[str, str] = {}
    reports = {task: compare(args, task, truth, meta, checkpoints)
               for task in TASKS}
    for task, report in reports.items():
        print(f'\n=== {task}, {args.val_videos} held-out videos, in per cent'
              f'\n\n{report}')
    print(f'\nplots: {relative(args.out_dir)}')
