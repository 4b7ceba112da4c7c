# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
import torch.nn.functional as F

from mmaction_memvit.evaluation.functional.look_ahead import looks_ahead


def by_place(clip):
    """Frames or features (T, C)."""
    return clip.float().mean((0, 3, 4)).T if clip.ndim == 5 else \
        clip.float().mean((2, 3))


MODELS = {
    'own': (lambda x: x, False),
    'past': (lambda x: x.cumsum(0), False),
    'next': (lambda x: x + 1e-2 * x.roll(-1, 0), True),
    'mean': (lambda x: x + x.mean(0), True),
    'pairs': (lambda x: F.avg_pool1d(x.T, 2, 2).T.cumsum(0), False),
    'one': (lambda x: x.mean(0, True), False),
    'rounding': (lambda x: x + 1e-7 * x.mean(0), False),
    'vector': (lambda x: x.mean(0), False),
}


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('clip', [
    torch.randint(256, (1, 3, 8, 4, 4), dtype=torch.uint8),
    torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.randn(1, 6, 8, 1, 1),
    torch.zeros(1, 6, 8, 1, 1)], ids=['clip', 'frames', 'features', 'zeros'])
def test_what_looks_ahead(name, clip):
    model, truth = MODELS[name]
    before = clip.clone()
    assert looks_ahead(lambda x: model(by_place(x)).numpy(), clip) == truth
    assert torch.equal(clip, before)
