# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""LongCue, trained through memory: questions beyond what is attended to.

A question comes 1 to 8 clips after its answer was shown, but the model attends
to the memory of 2 clips. Trained as published, with the gradient stopped at
memory, and trained on windows of clips (unroll), it is tested on held-out
videos, and how often it is right is printed by delay. Then it is measured how
far back the clips lie that still change the scores of either.
"""
import argparse
import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor

from mmengine.config import Config

from mmaction_memvit.apis import measure_temporal_support
from mmaction_memvit.evaluation.functional import TemporalSupport
from mmaction_memvit.messages import text_table
from mmaction_memvit.visualization import plot_temporal_support, support_rows

from .delay_accuracy import format_delay_table, plot_accuracy_by_delay
from .longcue import make_videos, train_on_questions
from .running import ROOT, checkpoint_of, relative

# Fewer videos, shown more often, are learned by heart.
AMOUNTS = {'train-videos': (960, 'videos to train on'),
           'val-videos': (96, 'videos to test on')}
MODELS = {'unrolled': 'recognition/memvit/memvit-tiny-m2-u16_longcue-rgb',
          'stop-gradient': 'recognition/memvit/memvit-tiny-m2_longcue-rgb'}


def main(args: argparse.Namespace) -> None:
    """Run the demo."""
    meta = make_videos(args)
    # Side by side: models as small gain nothing from a second thread.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(
            lambda model: train_on_questions(args, meta, *model),
            MODELS.items()))
    tables = {name: table for name, (_, table) in zip(MODELS, runs)}
    supports = {
        name: used_support(args.out_dir, config, checkpoint_of(run))
        for (name, config), (run, _) in zip(MODELS.items(), runs)}
    supports['no memory'] = used_support(
        args.out_dir, MODELS['stop-gradient'], checkpoint_of(runs[-1][0]),
        memory=False)
    plot = osp.join(args.out_dir, 'accuracy_by_delay_unrolled.png')
    plot_accuracy_by_delay(
        tables, plot, meta['chance'],
        title='LongCue with a memory of 2 clips: accuracy by delay')
    print('\n=== accuracy by delay, in clips from cue to question, with a '
          f'memory of 2 clips, on {args.val_videos} held-out videos\n')
    print(format_delay_table(tables, meta['chance']))
    print(f'\nplot: {relative(plot)}')
    plot = osp.join(args.out_dir, 'temporal_support_unrolled.png')
    plot_temporal_support(
        supports, plot, title='LongCue with a memory of 2 clips')
    print('\n=== used temporal support: change of the scores where the clip '
          'so many clips ago is replaced\n')
    print(text_table(support_rows(supports)))
    print(f'\nplot: {relative(plot)}')


def used_support(out_dir: str, config: str, checkpoint: str,
                 memory: bool = True) -> TemporalSupport:
    """How far back a trained model looks, or would without its memory."""
    config = Config.fromfile(osp.join(ROOT, 'configs', f'{config}.py'))
    dataset = config.test_dataloader.dataset
    for paths, key in ((dataset, 'ann_file'), (dataset, 'index_file'),
                       (dataset.data_prefix, 'video')):
        paths[key] = osp.join(out_dir, paths[key])
    if not memory:
        config.model.backbone.mem_len = 0
        # Weights of the memory are left over.
        config.any_checkpoint_fits = True
    return measure_temporal_support(config, checkpoint, max_age=12)
