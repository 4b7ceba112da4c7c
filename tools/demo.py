# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue: what memory is good for, shown in a few minutes on a CPU.

Makes long videos in which a question comes 1 to 8 clips after its answer was
shown, trains a tiny MeMViT with memory and the same model without, tests both
through MMEngine's runner, and prints how often they are right by delay. Then
the model with memory watches one held-out video clip by clip.
"""
import argparse
import os
import os.path as osp
import subprocess
import sys
import time
from typing import List, Optional, Tuple

from mmengine.fileio import load

from mmaction_memvit.apis import StreamInferencer
from mmaction_memvit.datasets.generated.longcue import clip_captions
from mmaction_memvit.visualization.delay_accuracy import (
    accuracy_by_delay,
    format_delay_table,
    plot_accuracy_by_delay,
    question_records,
)
from mmaction_memvit.visualization.timeline import format_timeline

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
CONFIGS = osp.join(ROOT, 'configs', 'recognition', 'memvit')
MODELS = {
    'with memory': 'memvit-tiny-m8_longcue-rgb',
    'without memory': 'memvit-tiny-m0_longcue-rgb'
}
# Where the configs look for the videos, from the folder they run in.
DATA = osp.join('data', 'longcue')


def parse_args(doc: str = __doc__, **amounts: Tuple[int, str]
               ) -> argparse.Namespace:
    """Read the command line that all demos share.

    Args:
        doc (str): What the demo is about. Defaults to that of this one.
        amounts (tuple[int, str]): By option, how many there are by default,
            and of what.

    Returns:
        argparse.Namespace: The options.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--out-dir', default='demo_out', help='where everything is written')
    for name, (number, what) in amounts.items():
        parser.add_argument(
            '--' + name.replace('_', '-'),
            type=int,
            default=number,
            help=f'{what} (default: {number})')
    parser.add_argument(
        '--epochs', type=int, help='instead of those of the configs')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def run(title: str, out_dir: str, tool: str, *args: str) -> None:
    """Run a tool of this project in the output folder."""
    command = [osp.join('tools', tool), *map(str, args)]
    print(f'\n=== {title}\n$ python {" ".join(command)}\n', flush=True)
    result = subprocess.run(
        [sys.executable, osp.join(ROOT, *command[0].split(os.sep)),
         *command[1:]],
        cwd=out_dir)
    if result.returncode:
        sys.exit(f'{title} failed; see the messages above')


def epoch_options(epochs: Optional[int]) -> List[str]:
    """Config options that set the number of epochs."""
    if not epochs:
        return []
    return [
        f'{key}={epochs}'
        for key in ('train_cfg.max_epochs', 'train_cfg.val_begin',
                    'param_scheduler.1.T_max',
                    'default_hooks.checkpoint.interval')
    ]


def checkpoint_of(work_dir: str) -> str:
    """The last checkpoint of a finished training."""
    with open(osp.join(work_dir, 'last_checkpoint')) as file:
        return file.read().strip()


def main() -> None:
    args = parse_args(
        train_videos=(160, 'videos to train on'),
        val_videos=(32, 'videos to test on'))
    start = time.time()
    out_dir = osp.abspath(args.out_dir)
    os.makedirs(out_dir, exist_ok=True)
    run('make the videos', out_dir, osp.join('data', 'make_longcue.py'), DATA,
        '--train-videos', args.train_videos, '--val-videos', args.val_videos,
        '--size', 32, '--seed', args.seed, '--force')
    meta = load(osp.join(out_dir, DATA, 'longcue_meta.json'))
    questions = meta['splits']['val']['questions']

    tables, checkpoints = {}, {}
    for name, config in MODELS.items():
        path = osp.join(CONFIGS, config + '.py')
        work_dir = osp.join(out_dir, 'work_dirs', config)
        run(f'train {name}', out_dir, 'train.py', path, '--work-dir',
            work_dir, '--cfg-options', f'randomness.seed={args.seed}',
            *epoch_options(args.epochs))
        checkpoints[name] = checkpoint_of(work_dir)
        dump = osp.join(work_dir, 'predictions.pkl')
        run(f'test {name}', out_dir, 'test.py', path, checkpoints[name],
            '--work-dir', work_dir, '--dump', dump)
        tables[name] = accuracy_by_delay(
            question_records(load(dump), questions))

    video = meta['splits']['val']['videos'][-1]
    print(f'\n=== the model with memory watches {video}\n')
    inferencer = StreamInferencer(
        osp.join(CONFIGS, MODELS['with memory'] + '.py'),
        checkpoints['with memory'])
    steps = ((step.clip, step.scores)
             for step in inferencer(osp.join(out_dir, DATA, video)))
    answers = {q['clip']: q['label'] for q in questions if q['video'] == video}
    for line in format_timeline(
            steps, meta['classes'], meta['clip_seconds'],
            clip_captions(questions, video, tuple(meta['classes'])), answers):
        print(line, flush=True)

    plot = osp.join(out_dir, 'accuracy_by_delay.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'], title='LongCue: accuracy by delay')
    print('\n=== accuracy by delay, in clips from cue to question, on '
          f'{args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print(f'\nplot: {osp.relpath(plot)}')
    print(f'took {(time.time() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    main()
