# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue: what memory is good for, shown in a few minutes on a CPU.

Makes long videos in which a question comes 1 to 8 clips after its answer was
shown, trains a tiny MeMViT with memory and the same model without, tests both
through MMEngine's runner, and prints how often they are right by delay. Then
the model with memory watches held-out videos clip by clip: where does it look
when it is asked?
"""
import argparse
import os.path as osp
import sys

import pandas as pd
from generated.longcue import clip_captions
from mmengine.fileio import load

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.visualization.attention import AttentionPlot

from .delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    overall_accuracy,
    plot_accuracy_by_delay,
    question_records,
)
from .delay_attention import attention_records, format_attention_table
from .running import ROOT, checkpoint_of, generate, relative, train_and_test
from .timeline import format_timeline

MODELS = {'with memory': 'recognition/memvit/memvit-tiny-m8_longcue-rgb',
          'without memory': 'recognition/memvit/memvit-tiny-m0_longcue-rgb'}
# Where the configs look for the videos, from the folder they run in.
DATA = 'data/longcue'
# Videos that are watched clip by clip.
WATCHED = 8
AMOUNTS = {'train-videos': (160, 'videos to train on'),
           'val-videos': (32, 'videos to test on')}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    meta = make_videos(args)
    tables, runs = {}, {}
    for name, config in MODELS.items():
        runs[name], tables[name] = train_on_questions(args, meta, name, config)

    records = watch(args.out_dir, meta, checkpoint_of(runs['with memory']))
    plot = osp.join(args.out_dir, 'accuracy_by_delay.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'], title='LongCue: accuracy by delay')
    print('\n=== accuracy by delay, in clips from cue to question, on '
          f'{args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print('\n=== attention to remembered clips, at the questions of '
          f'{WATCHED} of them\n')
    print(format_attention_table(records))
    print(f'\nplots: {relative(plot)}, '
          f'{relative(osp.join(args.out_dir, "attention.png"))}')
    # Who remembers the answers has looked for them.
    right = overall_accuracy(tables['with memory']).accuracy
    if right > 0.9 and not records['first'].mean() > 0.5:
        sys.exit('ERROR: at most questions the cue is not what is attended '
                 'to most')


def make_videos(args: argparse.Namespace) -> dict:
    """Makes LongCue as the demos have it; what longcue_meta.json tells."""
    generate('longcue', args.out_dir, DATA, '--train-videos',
             args.train_videos, '--val-videos', args.val_videos, '--size', 32,
             '--seed', args.seed)
    return load(osp.join(args.out_dir, DATA, 'longcue_meta.json'))


def train_on_questions(args: argparse.Namespace, meta: dict, name: str,
                       config: str) -> tuple[str, dict]:
    """Trains a config; its run, and how often it is right, by delay."""
    work_dir = train_and_test(
        name, args.out_dir, config, args.seed, args.epochs,
        test_args=('--dump', '{work_dir}/predictions.pkl'))
    results = load(osp.join(work_dir, 'predictions.pkl'))
    return work_dir, accuracy_by_delay(
        question_records(results, meta['splits']['val']['questions']))


def watch(out_dir: str, meta: dict, checkpoint: str) -> pd.DataFrame:
    """Let the model with memory watch held-out videos.

    Returns:
        pd.DataFrame: What it attends to at their questions.
    """
    inferencer = OnlineInferencer(
        osp.join(ROOT, 'configs', f'{MODELS["with memory"]}.py'), checkpoint,
        record_attention=True)
    records = []
    for video in meta['splits']['val']['videos'][-WATCHED:]:
        questions = [x for x in meta['splits']['val']['questions']
                     if x['video'] == video]
        steps = list(inferencer(osp.join(out_dir, DATA, video)))
        records.append(attention_records(steps, questions))
    print(f'\n=== the model with memory watches {video}\n')
    for line in format_timeline(
            ((step.clip, step.scores) for step in steps), meta['classes'],
            meta['clip_seconds'],
            clip_captions(questions, video, tuple(meta['classes'])),
            {x['clip']: x['label'] for x in questions}):
        print(line)
    plot = AttentionPlot()
    for step in steps:
        plot.add(step)
    plot.plot(osp.join(out_dir, 'attention.png'),
              'LongCue: attention to remembered clips')
    return pd.concat(records)
