# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A small made-up benchmark in the published forms."""
import json

import numpy as np

from mmaction_memvit.annotations.online_detection import BENCHMARKS

LENGTHS = dict(train=(40, 33, 28, 40, 37, 30), test=(35, 26, 41))
WIDTHS = dict(rgb=8, flow=4)
NUM_VERBS, NUM_NOUNS = 4, 6


def make_targets(rng, length, num_classes, ambiguous=None):
    """Background, and some actions, which may overlap."""
    targets = np.zeros((length, num_classes))
    last = num_classes if ambiguous is None else ambiguous
    for label in rng.integers(1, min(last, 6), 5):
        first = rng.integers(length)
        targets[first:first + rng.integers(2, 9), label] = 1
    if ambiguous is not None:
        targets[4:6] = 0
        targets[4:6, ambiguous] = 1
    targets[~targets.any(1), 0] = 1
    return targets


def write_benchmark(folder, benchmark):
    """Writes features that show the classes, and targets; gives these.

    There are ``data_info.json``, ``rgb/``, ``flow/`` and ``target/``, of
    EPIC-KITCHENS-100 ``verb/`` and ``noun/``.
    """
    own = BENCHMARKS[benchmark]
    sizes = {'target': len(own.names)}
    if not own.names:
        sizes = dict(verb=NUM_VERBS, noun=NUM_NOUNS)
    for name in (*WIDTHS, *sizes):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shape = sum(sizes.values()), sum(WIDTHS.values())
    shows = rng.normal(size=shape)
    names = {split: [f'{split}_{i}' for i in range(len(lengths))]
             for split, lengths in LENGTHS.items()}
    every = {}
    for split, lengths in LENGTHS.items():
        for name, length in zip(names[split], lengths):
            parts = [make_targets(rng, length, size, own.ambiguous)
                     for size in sizes.values()]
            every[name] = np.concatenate(parts, 1)
            features = every[name] @ shows + .3 * rng.normal(
                size=(length, shape[1]))
            rgb, flow = np.split(features, [WIDTHS['rgb']], 1)
            for kind, array in (('rgb', rgb), ('flow', flow),
                                *zip(sizes, parts)):
                array = array.astype(np.float32)
                np.save(folder / kind / f'{name}.npy', array)
    (folder / 'data_info.json').write_text(json.dumps({own.key: {
        'class_names': own.names,
        **{f'{split}_session_set': x for split, x in names.items()}}}))
    return every


def write_actions(folder, targets, rate=4.):
    """Writes the official lists of THUMOS14 that say the same."""
    folder.mkdir()
    for label, name in enumerate(BENCHMARKS['thumos14'].names[1:], 1):
        lines = dict(val='', test='')
        for video, array in targets.items():
            edges = np.flatnonzero(np.diff(array[:, label], prepend=0,
                                           append=0))
            for first, stop in edges.reshape(-1, 2) / rate:
                split = 'val' if video.startswith('train') else 'test'
                lines[split] += f'{video}  {first} {stop}\n'
        for split, text in lines.items():
            (folder / f'{name}_{split}.txt').write_text(text)
