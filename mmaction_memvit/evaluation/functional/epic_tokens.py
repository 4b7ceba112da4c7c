# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which temporal tokens say something of a segment, and their average."""
from typing import Union

import numpy as np

from .epic_recognition import log_probabilities, log_softmax

# Times closer than this are the same: rounding must not decide.
SAME_TIME = 1e-6


def token_distance(times: np.ndarray, starts: Union[np.ndarray, float],
                   stops: Union[np.ndarray, float]) -> np.ndarray:
    """Seconds between tokens and segments, 0 where they touch.

    Args:
        times (np.ndarray): Start and end of T tokens, (T, 2).
        starts (np.ndarray | float): Starts of S segments.
        stops (np.ndarray | float): Stops of S segments.

    Returns:
        np.ndarray: Shape (T, S).
    """
    starts, stops = np.atleast_1d(starts), np.atleast_1d(stops)
    return np.maximum(
        0, np.maximum(times[:, :1] - stops, starts - times[:, 1:]))


def tokens_within(times: np.ndarray, start: float, stop: float,
                  max_distance: float) -> np.ndarray:
    """Tokens whose centre lies within a segment.

    A segment that holds no centre gets the token whose centre is nearest to
    its middle, of equal ones the earlier.

    Args:
        times (np.ndarray): Start and end of T tokens in seconds, (T, 2).
        start (float): Start of the segment.
        stop (float): Its stop.
        max_distance (float): Seconds from the segment to the nearest token
            that still counts.

    Returns:
        np.ndarray: Numbers of tokens, none if all are too far.
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
    """The token that ends last at a time or before.

    Args:
        times (np.ndarray): Start and end of T tokens in seconds, (T, 2); of
            tokens that end at the same time the first is taken.
        target (float): The time.
        max_distance (float): Seconds that it may end before.

    Returns:
        np.ndarray: The number of the token, or none.
    """
    age = target - times[:, 1]
    past = np.flatnonzero((age >= -SAME_TIME) & (age <= max_distance))
    if not len(past):
        return past
    return past[np.argmax(age[past] <= age[past].min() + SAME_TIME)][None]


def average_scores(rows: np.ndarray, average: str,
                   is_probs: bool) -> np.ndarray:
    """Average of several scores of one segment, as logits.

    Args:
        rows (np.ndarray): Finite scores of shape (N, num_classes).
        average (str): 'prob' or 'score', see ``EpicRecognitionMetric``.
        is_probs (bool): Whether they are probabilities already.

    Returns:
        np.ndarray: float64 of shape (num_classes, ).
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
