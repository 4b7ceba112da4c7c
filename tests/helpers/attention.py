# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Clips that say what they attended to."""
import numpy as np

from mmaction_memvit.apis import ClipPrediction, MemoryAttention


def attended_step(number, looks_at=None, gap=2, num=3):
    """A clip of 2 s; half of its attention may lie at the top of one."""
    ages = tuple(range(0, num * gap + 1, gap))
    share = np.array([1., *(x <= number for x in ages[1:])])
    if looks_at:
        share[ages.index(looks_at)] = share.sum()
    share /= share.sum()
    heat = np.repeat(share[:, None, None] / 16, 4, 1).repeat(4, 2)
    if looks_at:
        heat[ages.index(looks_at), :2] *= 4
    picture = np.full((32, 48, 3), 10 * number, np.uint8)
    attention = MemoryAttention(ages, np.stack([share] * 2), heat, picture)
    return ClipPrediction(number, 2. * number, 2. * number + 2,
                          np.array([1.]), attention=attention)
