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

from .delay_accuracy import format_delay_table, plot_accuracy_by_delay
from .longcue import DATA, make_videos, train_on_questions
from .running import ROOT, checkpoint_of, relative, run

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
    meta = make_videos(args)
    tables = {}
    for name, config in MODELS.items():
        work_dir, tables[name] = train_on_questions(args, meta, name, config)
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
