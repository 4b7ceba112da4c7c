# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""EPIC-KITCHENS-100 in small, from videos to submissions, in some minutes.

Makes a set of videos in the official form in which what is used was shown 4
to 8 clips before. For recognition, and from there for anticipation, it trains
a tiny MeMViT with memory and the same one without, tests both through
MMEngine's runner, and prints the measures of the challenge and how often the
remembered noun is right by delay. The models with memory also score the
unlabelled test videos; their submissions are written and checked.
"""
import os
import os.path as osp
import time
from typing import Dict, List

import numpy as np
from demo import ROOT, checkpoint_of, epoch_options, parse_args, run
from mmengine.fileio import load

from mmaction_memvit.evaluation.submissions.epic_dump import read_epic_dump
from mmaction_memvit.evaluation.submissions.epic_truth import (
    EpicTruth,
    format_epic_table,
)
from mmaction_memvit.visualization.delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
)

TASKS = {
    'recognition': 'memvit-tiny-m{}_epic-generated-rgb',
    'anticipation': 'memvit-tiny-causal-m{}_epic-generated-anticipation-rgb'
}
MODELS = {'with memory': 8, 'without memory': 0}
# Where the configs look for the videos, from the folder they run in.
DATA = osp.join('data', 'epic_generated')
# How a submission says what its models learnt from: no pre-training, the
# verbs and nouns of segments, the training set.
SLS = (0, 3, 3)


def remembered_nouns(dump: str, uses: List[dict]) -> List[dict]:
    """The model's noun of every use, beside the right one."""
    names, scores = read_epic_dump(dump)
    # What could not be observed has no scores and is wrong.
    nouns = np.where(
        np.isnan(scores['noun']).any(1), -1, scores['noun'].argmax(1))
    found = dict(zip(names, nouns.tolist()))
    return [
        dict(
            delay=use['delay'],
            label=use['noun'],
            pred=found[use['narration_id']]) for use in uses
    ]


def submit(out_dir: str, task: str, path: str, work_dir: str,
           sizes: List[str]) -> None:
    """Score the test videos; write and check the submission."""
    segments = osp.join(DATA, 'annotations', 'EPIC_100_test_timestamps.csv')
    dump = osp.join(work_dir, 'test_scores.npz')
    archive = osp.join(work_dir, 'submission.zip')
    challenge = f'action_{task}'
    run(f'{task}: score the test videos', out_dir, 'test.py', path,
        checkpoint_of(work_dir), '--work-dir', work_dir, '--cfg-options',
        f'test_dataloader.dataset.ann_file={segments}',
        f'test_evaluator.ann_file={segments}',
        f'test_evaluator.dump_file={dump}')
    run(f'{task}: write the submission', out_dir,
        osp.join('analysis_tools', 'eval_epic_dump.py'), dump, segments,
        challenge, '--submission', archive, '--sls', *SLS, *sizes)
    run(f'{task}: check the submission', out_dir,
        osp.join('data', 'epic100', 'validate_submission.py'), archive,
        segments, '--challenge', challenge, *sizes)


def main() -> None:
    args = parse_args(
        __doc__,
        train_videos=(120, 'videos to train on, a multiple of 6'),
        val_videos=(24, 'videos to test on, a multiple of 6'))
    start = time.time()
    out_dir = osp.abspath(args.out_dir)
    os.makedirs(out_dir, exist_ok=True)
    run('make the videos', out_dir,
        osp.join('data', 'epic100', 'make_generated.py'), DATA,
        '--train-videos', args.train_videos, '--validation-videos',
        args.val_videos, '--seed', args.seed, '--force')
    meta = load(osp.join(out_dir, DATA, 'epic_meta.json'))
    uses = [x for x in meta['uses'] if x['split'] == 'validation']
    num_verbs, num_nouns = len(meta['verbs']), len(meta['nouns'])
    sizes = ['--num-verbs', num_verbs, '--num-nouns', num_nouns]
    lists = osp.join(out_dir, DATA, 'annotations', 'EPIC_100_')
    truth = EpicTruth(
        lists + 'validation.csv',
        lists + 'tail_verbs.csv',
        lists + 'tail_nouns.csv',
        lists + 'unseen_participant_ids_validation.csv',
        num_verbs=num_verbs,
        num_nouns=num_nouns)

    reports: Dict[str, str] = {}
    checkpoints: Dict[str, str] = {}
    for task in TASKS:
        tables, measures = {}, {}
        for name, mem_len in MODELS.items():
            config = TASKS[task].format(mem_len)
            path = osp.join(ROOT, 'configs', task, 'epic100', config + '.py')
            work_dir = osp.join(out_dir, 'work_dirs', config)
            run(f'{task}: train {name}', out_dir, 'train.py', path,
                '--work-dir', work_dir, '--cfg-options',
                f'randomness.seed={args.seed}', *epoch_options(args.epochs),
                *([f'load_from={checkpoints[name]}']
                  if name in checkpoints else []))
            checkpoints[name] = checkpoint_of(work_dir)
            dump = osp.join(work_dir, 'val_scores.npz')
            run(f'{task}: test {name}', out_dir, 'test.py', path,
                checkpoints[name], '--work-dir', work_dir, '--cfg-options',
                f'test_evaluator.dump_file={dump}')
            names, scores = read_epic_dump(dump)
            rows = [truth.segments.rows_by_id[x] for x in names]
            measures[name] = truth.measure(f'action_{task}', scores, rows)
            tables[name] = accuracy_by_delay(remembered_nouns(dump, uses))
            if mem_len:
                submit(out_dir, task, path, work_dir, sizes)
        plot_accuracy_by_delay(
            tables,
            osp.join(out_dir, f'epic_{task}_by_delay.png'),
            meta['chance'],
            title=f'{task}: nouns that are to be remembered')
        reports[task] = '\n\n'.join([
            *(f'{name}\n{format_epic_table(x)}'
              for name, x in measures.items()),
            'noun right (top-1), by delay in clips since it was shown',
            format_delay_table(tables, meta['chance'])
        ])

    for task, report in reports.items():
        print(f'\n=== {task}, {args.val_videos} held-out videos, in per cent'
              f'\n\n{report}')
    print(f'\nplots: {osp.relpath(out_dir)}')
    print(f'took {(time.time() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    main()
