# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""DistantPair: what a memory shared by a video's clips is good for.

Makes videos with two signs, seconds apart, of which only both together tell
the label. Trains a tiny SlowOnly to name the signs; from there the same
network, on 8 clips of each video, with collaborative memory and without.
Tests all through MMEngine's runner, and prints how often they are right.
"""
import os
import os.path as osp
import time

from demo import ROOT, checkpoint_of, epoch_options, parse_args, run
from mmengine.fileio import load

from mmaction_memvit.visualization.delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
    question_records,
)

CONFIGS = osp.join(ROOT, 'configs', 'recognition', 'collaborative')
SIGNS = 'slowonly-tiny_distant-pair-signs-rgb'
MODELS = {
    'with memory': 'slowonly-tiny-memory_distant-pair-rgb',
    'without memory': 'slowonly-tiny-no-memory_distant-pair-rgb'
}
# Where the configs look for the videos, from the folder they run in.
DATA = osp.join('data', 'distant_pair')


def main() -> None:
    args = parse_args(
        __doc__,
        train_families=(36, 'scenes to train on, of each 16 videos'),
        val_families=(12, 'scenes to test on, of each 16 videos'))
    start = time.time()
    # Layers this small are slower in two threads; the second core reads.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    out_dir = osp.abspath(args.out_dir)
    os.makedirs(out_dir, exist_ok=True)
    run('make the videos', out_dir, osp.join('data', 'make_distant_pair.py'),
        DATA, '--train-families', args.train_families, '--val-families',
        args.val_families, '--seed', args.seed, '--force')
    meta = load(osp.join(out_dir, DATA, 'distant_pair_meta.json'))
    questions = meta['splits']['val']['questions']

    def train_and_test(name: str, config: str, *options: str) -> str:
        path = osp.join(CONFIGS, config + '.py')
        work_dir = osp.join(out_dir, 'work_dirs', config)
        run(f'train {name}', out_dir, 'train.py', path, '--work-dir', work_dir,
            '--cfg-options', f'randomness.seed={args.seed}',
            *epoch_options(args.epochs), *options)
        run(f'test {name}', out_dir, 'test.py', path, checkpoint_of(work_dir),
            '--work-dir', work_dir, '--dump',
            osp.join(work_dir, 'predictions.pkl'))
        return work_dir

    # Both models start from a backbone that knows the signs.
    work_dir = train_and_test('the backbone on single signs', SIGNS)
    weights = checkpoint_of(work_dir)
    named = load(osp.join(work_dir, 'predictions.pkl'))
    right = sum(
        int(x['pred_score'].argmax()) == int(x['gt_label']) for x in named)
    tables = {}
    for name, config in MODELS.items():
        work_dir = train_and_test(name, config, f'load_from={weights}')
        tables[name] = accuracy_by_delay(
            question_records(
                load(osp.join(work_dir, 'predictions.pkl')), questions))

    plot = osp.join(out_dir, 'pair_accuracy_by_distance.png')
    plot_accuracy_by_delay(
        tables,
        plot,
        meta['chance'],
        title='DistantPair: accuracy by distance',
        xlabel='seconds from the first sign to the second')
    print('\n=== right labels by delay, in seconds from the first sign to the '
          f'second, on {len(questions)} held-out videos of '
          f'{meta["num_frames"] / meta["fps"]:g} s\n')
    print(format_delay_table(tables, meta['chance']))
    print('\nsingle signs named rightly by the backbone before: '
          f'{right / len(named):.1%} of {len(named)}')
    print(f'\nplot: {osp.relpath(plot)}')
    print(f'took {(time.time() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    main()
