# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math

import numpy as np
import pytest

from mmaction_memvit.evaluation.functional import change_by_age

NUM_CLASSES = 5


def remembers(num):
    """A model that answers with the classes of the last ``num`` clips."""

    def step(clips, memory):
        eye = np.eye(NUM_CLASSES)
        memory = (clips, *(memory or ()))[:num + 1]
        shares = np.mean([eye[list(x)] for x in memory], axis=0)
        return [[x] for x in shares], memory

    return step


def stream(num_steps, lanes=2):
    """Clips are classes; another clip is another class."""
    for i in range(num_steps):
        clips = tuple((i + lane) % NUM_CLASSES for lane in range(lanes))
        yield clips, tuple((x + 1) % NUM_CLASSES for x in clips), [i] * lanes


@pytest.mark.parametrize('num', [0, 1, 4])
def test_a_model_that_remembers_n_clips(num):
    result = change_by_age(remembers(num), stream(40), 7)
    assert result.used() == num and result.control == 0
    assert (result.changes[num + 1:] == 0).all()
    # One vote of n + 1; of fewer while the stream is young.
    late = change_by_age(
        remembers(num),
        ((*step, [i if i >= 7 else -1] * 2)
         for i, (*step, _) in enumerate(stream(40))), 7)
    np.testing.assert_allclose(late.changes[:num + 1], 1 / (num + 1))
    assert late.counts.tolist() == [66] * 8
    assert result.counts.tolist() == [80 - 2 * age for age in range(8)]


def test_the_least_change_that_counts_is_relative_to_the_clip_itself():
    result = change_by_age(remembers(1), stream(30), 2)
    share = result.changes[1] / result.changes[0]
    assert result.used(share * .99) == 1 and result.used(share * 1.01) == 0
    # A model that looks at nothing uses nothing.
    blind = change_by_age(lambda x, m: ([[np.ones(1)]] * 2, m), stream(3), 1)
    assert blind.used() == 0 and np.isnan(blind.relative).all()


def test_tasks_and_tokens_are_averaged_and_clips_without_boxes_left_out():

    def step(clips, memory):
        flip = clips[0] % 2
        verb = np.array([[flip, 1 - flip], [1, 0]], float)  # one token moves
        noun = np.array([1., 0.])
        return [[verb, noun], [np.zeros((0, 2))]], memory

    result = change_by_age(step, stream(4), 0)
    assert result.changes.tolist() == [0.25]
    assert result.counts.tolist() == [4]


def test_the_control_shows_what_is_not_deterministic():
    rng = np.random.default_rng(0)

    def step(clips, memory):
        share = rng.uniform()
        return [[np.array([share, 1 - share])]] * 2, memory

    assert 0 < change_by_age(step, stream(5), 1).control <= 1


def test_ages_that_no_stream_has_are_nan():
    result = change_by_age(remembers(1), stream(3), 4)
    assert result.counts.tolist() == [6, 4, 2, 0, 0]
    assert math.isnan(result.changes[4]) and result.used() == 1
