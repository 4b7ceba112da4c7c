# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue with boxes: action detection that needs memory, in some minutes.

Makes videos of two persons; what a person does is told by a sign that person
showed 1 to 6 clips before. Trains a tiny MeMViT detector with memory (of the
backbone and of the boxes) and the same one without, tests both through
MMEngine's runner, and prints their mAP and how often they are right by delay.
"""
import os
import os.path as osp
import time

from demo import ROOT, checkpoint_of, epoch_options, parse_args, run
from mmengine.fileio import load

from mmaction_memvit.annotations.ava import (
    read_action_boxes,
    read_exclusions,
)
from mmaction_memvit.annotations.label_map import read_label_map
from mmaction_memvit.datasets.generated.longcue_boxes import (
    answer_box_questions,
)
from mmaction_memvit.evaluation.functional import evaluate_ava
from mmaction_memvit.visualization.delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
)

CONFIGS = osp.join(ROOT, 'configs', 'detection', 'memvit')
MODELS = {
    'with memory': 'memvit-tiny-m6_longcue-boxes-rgb',
    'without memory': 'memvit-tiny-m0_longcue-boxes-rgb'
}
# Where the configs look for the videos, from the folder they run in.
DATA = osp.join('data', 'longcue_boxes')


def main() -> None:
    args = parse_args(
        __doc__,
        train_videos=(128, 'videos to train on'),
        val_videos=(32, 'videos to test on'))
    start = time.time()
    out_dir = osp.abspath(args.out_dir)
    os.makedirs(out_dir, exist_ok=True)
    run('make the videos', out_dir,
        osp.join('data', 'make_longcue_boxes.py'), DATA, '--train-videos',
        args.train_videos, '--val-videos', args.val_videos, '--seed',
        args.seed, '--force')
    data = osp.join(out_dir, DATA)
    meta = load(osp.join(data, 'longcue_boxes_meta.json'))
    questions = meta['splits']['val']['questions']
    truth = read_action_boxes(osp.join(data, 'val.csv'))
    excluded = read_exclusions(osp.join(data, 'val_excluded.csv'))
    names = read_label_map(osp.join(data, 'label_map.pbtxt'))

    tables, reports = {}, {}
    for name, config in MODELS.items():
        path = osp.join(CONFIGS, config + '.py')
        work_dir = osp.join(out_dir, 'work_dirs', config)
        run(f'train {name}', out_dir, 'train.py', path, '--work-dir',
            work_dir, '--cfg-options', f'randomness.seed={args.seed}',
            *epoch_options(args.epochs))
        results = osp.join(work_dir, 'results.csv')
        run(f'test {name}', out_dir, 'test.py', path, checkpoint_of(work_dir),
            '--work-dir', work_dir, '--cfg-options',
            f'test_evaluator.results_file={results}')
        tables[name] = accuracy_by_delay(
            answer_box_questions(results, questions))
        reports[name] = evaluate_ava(
            truth,
            read_action_boxes(results, has_scores=True),
            names,
            excluded=excluded)

    plot = osp.join(out_dir, 'box_accuracy_by_delay.png')
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
    print(f'\nplot: {osp.relpath(plot)}')
    print(f'took {(time.time() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    main()
