# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How far back a clip still changes what a model says.

A model can reach M x L clips back (`MeMViT
<https://arxiv.org/abs/2201.08383>`_). How much of that it makes use of is
measured: a clip of the past is replaced by one of another video, and the
scores of now are compared.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np

# Of the change that the clip itself makes. Smaller changes of all clips seldom
# turn an answer; a clip that turns one answer in twenty is above it.
THRESHOLD = 0.05


class TemporalSupport(NamedTuple):
    """Mean change of class probabilities by the age of a replaced clip.

    ``changes`` (A + 1, ) are, by age in clips, 0 being the scored clip itself,
    half the sum of the absolute changes of its class probabilities: the share
    that moves from some classes to others; NaN where no stream is so long.
    ``counts`` (A + 1, ) are scored clips by age, ``control`` is the largest
    change where no clip was replaced, 0 for a deterministic model, and
    ``theoretical`` how many clips can matter: M x L, 0 without memory,
    infinite for a memory without an end, NaN if nobody says.
    """
    changes: np.ndarray
    counts: np.ndarray
    control: float
    theoretical: float = math.nan

    @property
    def relative(self) -> np.ndarray:
        """np.ndarray: changes in shares of that at age 0, (A + 1, )."""
        return self.changes / (self.changes[0] or math.nan)

    def used(self, threshold: float = THRESHOLD) -> int:
        """Used temporal support: the largest age that changes more, else 0.

        ``threshold`` is a share of the change at age 0.
        """
        above = np.flatnonzero(self.relative > threshold)
        return int(above[-1]) if len(above) else 0


def change_by_age(step: Callable[[Any, Any], tuple[Sequence, Any]],
                  stream: Iterable[tuple[Any, Any, Sequence[int]]],
                  max_age: int, memory: Any = None) -> TemporalSupport:
    """Measure how much clips of the past change the scores of later ones.

    For each age a second memory runs along, in which the clip so many steps
    ago was another one: A + 3 steps a clip, and all pairs of a clip and an
    age are measured. Each is a step of its own, of the same shape as the true
    one, so that what does not depend on the past is equal to the bit.

    Args:
        step (Callable): The model, ``step(clips, memory) -> (scores,
            memory)``, pure: it leaves the memory that came in as it is.
            ``scores`` are those of B lanes, each a list of arrays of class
            probabilities (..., num_classes), of one task each.
        stream (Iterable[tuple]): For each step: clips of B lanes; clips of
            other videos; and how many clips of the lane's stream came before
            without a gap, (B, ) ints, -1 for scores that do not count.
        max_age (int): Largest age A in clips.
        memory: At the start of the streams. Defaults to None.

    Returns:
        TemporalSupport: Of all clips that count.
    """
    sums = np.zeros(max_age + 1)
    counts = np.zeros(max_age + 1, np.int64)
    control, noise = memory, 0.
    # By age: memories of a past in which that clip was another one.
    others: list = []
    for clips, replaced, past in stream:
        before = memory
        truth, memory = step(clips, before)
        again, control = step(clips, control)
        noise = max([noise, *filter(math.isfinite, _moved(again, truth))])
        tries = [(replaced, before), *((clips, x) for x in others[:max_age])]
        others = []
        for age, (x, old) in enumerate(tries):
            scores, new = step(x, old)
            others.append(new)
            moved = _moved(scores, truth)
            count = (np.asarray(past) >= age) & np.isfinite(moved)
            sums[age] += moved[count].sum()
            counts[age] += count.sum()
    with np.errstate(invalid='ignore'):
        return TemporalSupport(sums / counts, counts, noise)


def _moved(scores: Sequence[Sequence[np.ndarray]],
           truth: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Probability that moved in each lane, (B, ); NaN of no score (no box)."""
    moved = np.full(len(truth), math.nan)
    for lane, (new, old) in enumerate(zip(scores, truth)):
        tasks = [np.abs(np.subtract(x, y, dtype=np.float64)).sum(-1).mean() / 2
                 for x, y in zip(new, old) if np.size(y)]
        if tasks:
            moved[lane] = np.mean(tasks)
    return moved
