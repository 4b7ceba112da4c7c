# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which temporal tokens say something of a segment, and their average."""
from typing import Union

import numpy as np

from .epic import log_probabilities, log_softmax

# Times closer than this are the same: rounding must not decide.
SAME_TIME = 1e-6


def token_distance(times: np.ndarray, starts: Union[np.ndarray, float],
                   stops: Union[np.ndarray, float]) -> np.ndarray:
    """Seconds between T tokens (T, 2) and S segments, 0 where they touch."""
    starts, stops = np.atleast_1d(starts), np.atleast_1d(stops)
    return np.maximum(
        0, np.maximum(times[:, :1] - stops, starts - times[:, 1:]))


def tokens_within(times: np.ndarray, start: float, stop: float,
                  max_distance: float) -> np.ndarray:
    """Numbers of the tokens whose centre lies within a segment.

    A segment that holds no centre gets the token whose centre is nearest to
    its middle, of equal ones the earlier, if its distance in seconds is at
    most ``max_distance``. ``times`` are start and end of tokens, (T, 2).
    """
    centres = times.mean(1)
    inside = np.flatnonzero((centres >= start - SAME_TIME)
                            & (centres <= stop + SAME_TIME))
    if len(inside):
        return inside
    near = np.flatnonzero(
        token_distance(times, start, stop)[:, 0] <= max_distance)
    if not len(near):
        return near
    off = np.abs(centres[near] - (start + stop) / 2)
    equal = near[off <= off.min() + SAME_TIME]
    return equal[np.argmin(centres[equal])][None]


def last_token_before(times: np.ndarray, target: float,
                      max_distance: float) -> np.ndarray:
    """Number of the token that ends last at ``target`` or before, or none.

    Of tokens that end at the same time the first is taken; one that ends more
    than ``max_distance`` seconds before is too old.
    """
    age = target - times[:, 1]
    past = np.flatnonzero((age >= -SAME_TIME) & (age <= max_distance))
    if not len(past):
        return past
    return past[np.argmax(age[past] <= age[past].min() + SAME_TIME)][None]


def average_scores(rows: np.ndarray, average: str,
                   is_probs: bool) -> np.ndarray:
    """Average of finite scores (N, num_classes), as logits, float64.

    ``average`` is 'prob' or 'score', see ``EpicRecognitionMetric``;
    ``is_probs`` says whether they are probabilities already.
    """
    rows = rows.astype(np.float64)
    if average == 'score':
        return np.sum(rows, axis=0) / len(rows)
    if len(rows) == 1 and not is_probs:
        # As it is: a softmax could only round.
        return rows[0]
    logs = log_probabilities(rows) if is_probs else log_softmax(rows)
    top = logs.max(0)
    return top + np.log(np.sum(np.exp(logs - top), axis=0) / len(rows))
