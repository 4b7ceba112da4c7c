# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue, remembered over features of a backbone that remembers nothing.

MMAction2's ResNet3d learns single clips, its features of all clips are taken
out once, and necks learn in seconds what to remember of them: a transformer
over the last clips, and a long-short memory. How often they are right on
held-out videos, clip by clip, is printed by delay, beside the ResNet3d itself
and the same transformer without memory.
"""
import argparse
import os.path as osp

from mmengine.config import Config
from mmengine.fileio import load

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
    question_records,
)
from .longcue import DATA
from .running import (
    ROOT,
    checkpoint_of,
    generate,
    relative,
    run,
    train_and_test,
)

AMOUNTS = {'train-videos': (160, 'videos to train on'),
           'val-videos': (32, 'videos to test on')}
FOLDER = 'recognition/stream_memory/'
BACKBONE = f'{FOLDER}resnet3d-tiny_longcue-rgb'
MODELS = {
    'ResNet3d': BACKBONE,
    'M = 0': f'{FOLDER}stream-transformer-m0_longcue-feature',
    'M = 8': f'{FOLDER}stream-transformer-m8_longcue-feature',
    'long-short': f'{FOLDER}long-short-memory_longcue-feature'
}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    generate('longcue', args.out_dir, DATA, '--train-videos',
             args.train_videos, '--val-videos', args.val_videos, '--size', 32,
             '--seed', args.seed)
    meta = load(osp.join(args.out_dir, DATA, 'longcue_meta.json'))
    questions = meta['splits']['val']['questions']
    tables = {}
    for name, config in MODELS.items():
        work_dir = train_and_test(
            name, args.out_dir, config, args.seed, args.epochs,
            test_args=('--dump', '{work_dir}/predictions.pkl'))
        tables[name] = accuracy_by_delay(
            question_records(
                load(osp.join(work_dir, 'predictions.pkl')), questions))
        if config == BACKBONE:
            extract(args.out_dir, checkpoint_of(work_dir))
    plot = osp.join(args.out_dir, 'accuracy_by_delay_features.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'],
        title='LongCue over features of a frozen ResNet3d: by delay')
    print('\n=== accuracy by delay, in clips from cue to question, on '
          f'{args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print(f'\nplot: {relative(plot)}')


def extract(out_dir: str, checkpoint: str) -> None:
    """Take out the features of all clips of both lists."""
    config = osp.join(ROOT, 'configs', f'{BACKBONE}.py')
    lists = Config.fromfile(config).test_dataloader.dataset.ann_file
    for split in ('train', 'val'):
        run(f'take out the features of {split}', out_dir,
            'tools/extract_features.py', config, checkpoint, '--out-dir',
            f'{DATA}/features', '--workers', 1, '--cfg-options',
            'test_dataloader.dataset.ann_file='
            f'{lists.replace("val_", f"{split}_")}')
