# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue: what memory is good for, shown in a few minutes on a CPU.

Makes long videos in which a question comes 1 to 8 clips after its answer was
shown, trains a tiny MeMViT with memory and the same model without, tests both
through MMEngine's runner, and prints how often they are right by delay. Then
the model with memory watches one held-out video clip by clip.
"""
import argparse
import os.path as osp

from generated.longcue import clip_captions
from mmengine.fileio import load

from mmaction_memvit.apis import StreamInferencer

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
    question_records,
)
from .running import ROOT, checkpoint_of, generate, relative, train_and_test
from .timeline import format_timeline

MODELS = {
    'with memory': 'recognition/memvit/memvit-tiny-m8_longcue-rgb',
    'without memory': 'recognition/memvit/memvit-tiny-m0_longcue-rgb'
}
# Where the configs look for the videos, from the folder they run in.
DATA = 'data/longcue'
AMOUNTS = {
    'train-videos': (160, 'videos to train on'),
    'val-videos': (32, 'videos to test on')
}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    generate('longcue', args.out_dir, DATA, '--train-videos',
             args.train_videos, '--val-videos', args.val_videos, '--size', 32,
             '--seed', args.seed)
    meta = load(osp.join(args.out_dir, DATA, 'longcue_meta.json'))
    questions = meta['splits']['val']['questions']
    tables, runs = {}, {}
    for name, config in MODELS.items():
        runs[name] = train_and_test(
            name,
            args.out_dir,
            config,
            args.seed,
            args.epochs,
            test_args=('--dump', '{work_dir}/predictions.pkl'))
        tables[name] = accuracy_by_delay(
            question_records(
                load(osp.join(runs[name], 'predictions.pkl')), questions))

    watch(args.out_dir, meta, checkpoint_of(runs['with memory']))
    plot = osp.join(args.out_dir, 'accuracy_by_delay.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'], title='LongCue: accuracy by delay')
    print('\n=== accuracy by delay, in clips from cue to question, on '
          f'{args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print(f'\nplot: {relative(plot)}')


def watch(out_dir: str, meta: dict, checkpoint: str) -> None:
    """Let the model with memory watch a held-out video."""
    questions = meta['splits']['val']['questions']
    video = meta['splits']['val']['videos'][-1]
    print(f'\n=== the model with memory watches {video}\n')
    inferencer = StreamInferencer(
        osp.join(ROOT, 'configs', f'{MODELS["with memory"]}.py'), checkpoint)
    steps = ((step.clip, step.scores)
             for step in inferencer(osp.join(out_dir, DATA, video)))
    answers = {q['clip']: q['label'] for q in questions if q['video'] == video}
    for line in format_timeline(
            steps, meta['classes'], meta['clip_seconds'],
            clip_captions(questions, video, tuple(meta['classes'])), answers):
        print(line, flush=True)
