# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Families of twins: videos that differ in what is to be remembered only."""
from collections.abc import Iterator, Sequence

import numpy as np


def families(
    split: str, splits: Sequence[str], num_videos: int, twins: int, seed: int,
    first_scene: int = 0
) -> Iterator[tuple[int, tuple[int, int, int], np.random.Generator]]:
    """Go through the families that a number of videos makes up.

    A family does not depend on how many follow; it has ``twins`` videos, one
    for every answer. ``first_scene`` numbers the scenes of the first split,
    which tells sets of the same seed apart.

    Yields:
        tuple: Number of the family, seeds of what its twins share (scene),
        and a generator for their plan.
    """
    if split not in splits:
        raise ValueError(f'split={split!r} must be one of {tuple(splits)}')
    if num_videos < 1 or num_videos % twins:
        raise ValueError(
            f'{num_videos} {split} videos must be a positive multiple of '
            f'{twins}, because videos come in families of {twins} twins, one '
            f'for every answer; take {max(1, -(-num_videos // twins)) * twins}'
        )
    for family in range(num_videos // twins):
        scene = (seed, first_scene + splits.index(split), family)
        yield family, scene, np.random.default_rng((*scene, 0))
