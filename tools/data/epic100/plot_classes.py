# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Plots how often the classes of EPIC-KITCHENS-100 occur.

One panel each for verbs, nouns and actions: classes by falling number of
segments, on a logarithmic scale, rare classes (the tail) in another colour.
"""
import argparse
import os
import os.path as osp
import sys

import numpy as np

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.annotations.epic_lists import (
    build_epic_actions,
    read_epic_classes,
    read_epic_tail,
)

HEAD, TAIL = '#3b6fb6', '#e0803a'


def parse_args(argv=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'lists', nargs='+', metavar='LIST', help='lists of labelled segments')
    parser.add_argument('--out', required=True, help='picture to write')
    parser.add_argument('--ann-root',
        help='folder with EPIC_100_{verb,noun}_classes.csv and '
        'EPIC_100_tail_{verbs,nouns}.csv, as far as not named otherwise')
    for name, text in (('--verb-classes', 'names of the verbs'),
                       ('--noun-classes', 'names of the nouns'),
                       ('--tail-verbs', 'list of rare verbs'),
                       ('--tail-nouns', 'list of rare nouns')):
        parser.add_argument(name, help=text)
    parser.add_argument('--num-verbs', type=int, default=97)
    parser.add_argument('--num-nouns', type=int, default=300)
    args = parser.parse_args(argv)
    if args.ann_root:
        for name in ('verb_classes', 'noun_classes', 'tail_verbs',
                     'tail_nouns'):
            if getattr(args, name) is None:
                setattr(args, name,
                        osp.join(args.ann_root, f'EPIC_100_{name}.csv'))
    return args


def load(args):
    """Counts, names and tail masks by task."""
    tables = [
        read_epic_segments(
            name, num_verbs=args.num_verbs, num_nouns=args.num_nouns,
            reversed_times='swap') for name in args.lists
    ]
    for name, table in zip(args.lists, tables):
        if not table.labelled:
            raise ValueError(f'{name} has no labels')
    actions = build_epic_actions(*tables)
    tasks = {}
    for task, num, names, tail in (
        ('verb', args.num_verbs, args.verb_classes, args.tail_verbs),
        ('noun', args.num_nouns, args.noun_classes, args.tail_nouns)):
        counts = sum(table.counts(task, num) for table in tables)
        mask = np.zeros(num, bool)
        if tail:
            mask[read_epic_tail(tail, num)] = True
        names = (list(read_epic_classes(names)) if names else
                 [str(i) for i in range(num)])
        if len(names) != num:
            raise ValueError(f'there are names of {len(names)} {task}s, but '
                             f'--num-{task}s is {num}')
        tasks[task] = (counts, names, mask)
    verbs, nouns = actions.pairs.T
    counts = sum(
        np.bincount(actions.index(table.verbs, table.nouns),
                    minlength=len(actions)) for table in tables)
    names = [f'{tasks["verb"][1][v]} {tasks["noun"][1][n]}'
             for v, n in actions.pairs]
    tasks['action'] = (counts, names, tasks['verb'][2][verbs]
                       | tasks['noun'][2][nouns])
    return tasks


def plot(tasks, out):
    """Draws the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), layout='constrained')
    FigureCanvasAgg(figure)
    for axes, (task, (counts, names, tail)) in zip(
            figure.subplots(len(tasks), 1), tasks.items()):
        order = np.argsort(-counts, kind='stable')
        order = order[counts[order] > 0]
        place = np.arange(len(order))
        for mask, color, label in ((~tail, HEAD, 'head'),
                                   (tail, TAIL, 'tail')):
            shown = mask[order]
            if not shown.any():
                continue
            share = counts[order][shown].sum() / max(1, counts.sum())
            # Lines, as bars of 3,806 classes would take seconds to draw.
            axes.vlines(
                place[shown],
                0.5,
                counts[order][shown],
                colors=color,
                linewidth=max(0.3, 400 / max(1, len(order))),
                label=f'{label}: {shown.sum()} classes, {share:.1%} of '
                'segments')
        axes.set_yscale('log')
        axes.set_ylim(bottom=0.5)
        axes.set_xlim(-1, max(1, len(order)))
        axes.set_ylabel('segments')
        few = order[:3].tolist()
        axes.set_title(f'{len(order)} {task} classes; most frequent: '
                       + ', '.join(names[i] for i in few))
        axes.legend(loc='upper right', frameon=False)
        axes.spines[['top', 'right']].set_visible(False)
    axes.set_xlabel('classes by number of segments')
    os.makedirs(osp.dirname(osp.abspath(out)), exist_ok=True)
    figure.savefig(out, dpi=150)


def main(argv=None):
    """Draws the plot; returns the exit code."""
    args = parse_args(argv)
    try:
        tasks = load(args)
        plot(tasks, args.out)
    except (OSError, ValueError, ImportError) as e:
        print(f'error: {e}', file=sys.stderr)
        return 2
    for task, (counts, names, tail) in tasks.items():
        best = int(np.argmax(counts))
        total = int(counts.sum())
        print(f'{task}: {int((counts > 0).sum())} of {len(counts)} classes '
              f'occur, {total} segments; most frequent {names[best]!r} '
              f'({counts[best]}), {int((counts == 1).sum())} occur once, '
              f'{counts[tail].sum() / max(1, total):.1%} of segments are of '
              f'{int(tail.sum())} rare classes')
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
