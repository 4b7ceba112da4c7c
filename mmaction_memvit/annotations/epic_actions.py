# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Actions of EPIC-KITCHENS-100: pairs of verb and noun."""
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..messages import first_names


class EpicActions:
    """Actions, that is, pairs of verb and noun, and their numbers.

    Args:
        pairs (Iterable[tuple[int, int]]): Verb and noun of action 0, 1, ...

    Raises:
        ValueError: If there are no pairs, or a pair occurs twice or has a
            negative number.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        pairs = [(int(v), int(n)) for v, n in pairs]
        if not pairs:
            raise ValueError('there are 0 actions, at least 1 is needed; were '
                             'they built from a list without labels?')
        bad = [pair for pair, num in Counter(pairs).items()
               if num > 1 or min(pair) < 0]
        if bad:
            raise ValueError(f'the (verb, noun) pairs {first_names(bad)} are '
                             'negative, or occur twice among the actions')
        #: np.ndarray: Verb and noun of every action, int64 (num_actions, 2).
        self.pairs = np.asarray(pairs, np.int64)
        self._numbers = np.full(self.pairs.max(0) + 1, -1, np.int64)
        self._numbers[tuple(self.pairs.T)] = np.arange(len(pairs))

    def __len__(self) -> int:
        """Number of actions."""
        return len(self.pairs)

    def index(self, verb: np.ndarray, noun: np.ndarray) -> np.ndarray:
        """Numbers of actions, int64 (N, ), by verb and noun, both (N, ).

        Pairs that are none of the actions get -1, as do negative classes.
        """
        verb, noun = np.asarray(verb), np.asarray(noun)
        num_verbs, num_nouns = self._numbers.shape
        inside = ((verb >= 0) & (verb < num_verbs) & (noun >= 0)
                  & (noun < num_nouns))
        found = self._numbers[np.where(inside, verb, 0),
                              np.where(inside, noun, 0)]
        return np.where(inside, found, -1)
