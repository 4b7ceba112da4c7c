# Copyright (c) mmaction_memvit contributors. All rights reserved.
import random

import numpy as np
import pytest
import torch

from mmaction_memvit.datasets import PerVideoAugment
from mmaction_memvit.datasets.stream import seeded


class Draw:
    """Draws from all three generators."""

    def __call__(self, results):
        results['drawn'] = (random.random(), np.random.rand(),
                            float(torch.rand(())))
        return results


def sample(video, epoch, clip=0, **kwargs):
    return dict(video_id=video, epoch=epoch, timestamp=clip, **kwargs)


def global_state():
    return (random.getstate(), np.random.get_state()[1].tolist(),
            np.random.get_state()[2], torch.get_rng_state().tolist())


def test_one_draw_per_video_and_epoch():
    augment = PerVideoAugment([Draw()])
    drawn = {}
    for video in ('a', 'b', 'c'):
        for epoch in range(3):
            clips = [augment(sample(video, epoch, clip))['drawn']
                     for clip in range(3)]
            assert clips[0] == clips[1] == clips[2]
            drawn[video, epoch] = clips[0]
    for k in range(3):
        assert len({d[k] for d in drawn.values()}) == 9


def test_global_generators_neither_matter_nor_change():
    augment = PerVideoAugment([Draw()])
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = global_state()
    first = augment(sample('a', 0))['drawn']
    assert global_state() == before
    random.random(), np.random.rand(), torch.rand(5)
    assert augment(sample('a', 0))['drawn'] == first


def test_without_epoch_every_call_draws_anew():
    augment = PerVideoAugment([Draw()], seed=1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    one, two = (augment(sample('a', None))['drawn'] for _ in range(2))
    assert not set(one) & set(two)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert augment(sample('a', None))['drawn'] == one


def test_generators_are_restored_after_an_error():
    before = global_state()
    with pytest.raises(RuntimeError), seeded(0, 'a'):
        random.random(), np.random.rand(), torch.rand(5)
        raise RuntimeError
    assert global_state() == before


def test_seed_of_argument_and_of_sample():
    one, two = (PerVideoAugment([Draw()], seed=s) for s in (1, 2))
    free = PerVideoAugment([Draw()])

    def drawn(augment, **kwargs):
        return augment(sample('a', 0, **kwargs))['drawn']

    assert drawn(one) != drawn(two)
    assert drawn(one, aug_seed=7) == drawn(one)
    assert drawn(free, aug_seed=1) == drawn(one)
    assert drawn(free) == drawn(free, aug_seed=0)
