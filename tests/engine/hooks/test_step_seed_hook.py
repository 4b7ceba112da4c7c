# Copyright (c) mmaction_memvit contributors. All rights reserved.
import random

import numpy as np
import pytest
import torch
from helpers.runs import (
    assert_same,
    config,
    iteration_based,
    made_up_loader,
    train,
)
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaction_memvit.engine.hooks import StepSeedHook

LENGTHS = [6, 5, 4, 3, 2]
SEEDED = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]


@pytest.fixture(autouse=True)
def keep_generators():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def run(folder, val=False, interval=11, **kwargs):
    """Losses of a model that draws random numbers."""
    data = dict(train=made_up_loader(LENGTHS, train=True))
    if val:
        data['val'] = made_up_loader(LENGTHS, train=False)
    changes = {'model.backbone.drop_path_rate': 0.5, **kwargs}
    cfg = iteration_based(
        config(folder, custom_hooks=SEEDED, **data, **changes),
        max_iters=16, val_interval=4)
    cfg.default_hooks.checkpoint.interval = interval
    return train(cfg, [Draw()]).recorder.losses


def logs(folder):
    return ''.join(x.read_text() for x in folder.rglob('*.log'))


class Draw(Hook):
    """Lets the loss depend on the generators of Python and NumPy, too."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        noise = random.random() + np.random.rand()
        for i, x in enumerate(data_batch['inputs']):
            data_batch['inputs'][i] = (x * noise).to(torch.uint8)


def test_validation_and_resuming_change_no_draw(tmp_path, monkeypatch):
    """By epochs: test_end_to_end.py."""
    # MMEngine waits two seconds whenever the loader starts anew.
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda _: None)
    plain = run(tmp_path / 'a')
    assert_same(run(tmp_path / 'b', val=True), plain)
    # The loader starts anew after 11 steps; a run that is resumed where it
    # does has missed nothing that memory would hold.
    resumed = run(tmp_path / 'c', resume=True,
                  load_from=str(tmp_path / 'b/iter_11.pth'))
    assert_same(resumed, plain[11:])
    assert 'empty memory' not in logs(tmp_path / 'c')


def test_resuming_inside_an_epoch_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda _: None)
    plain = run(tmp_path / 'a', interval=5)
    resumed = run(tmp_path / 'b', interval=5, resume=True,
                  load_from=str(tmp_path / 'a/iter_5.pth'))
    assert 'after step 5' in logs(tmp_path / 'b')
    assert 'empty memory' in logs(tmp_path / 'b')
    # What is told is true.
    assert len(resumed) == 11 and resumed != pytest.approx(plain[5:], abs=1e-6)


def test_every_step_and_rank_has_its_own_draws(monkeypatch):
    seen = set()
    for seed in (0, 1):
        for step in (0, 1):
            for rank in (0, 1):
                monkeypatch.setattr(
                    'mmaction_memvit.engine.hooks.step_seed_hook.get_rank',
                    lambda rank=rank: rank)
                runner = Runner.__new__(Runner)
                runner._seed = seed
                monkeypatch.setattr(
                    Runner, 'iter', property(lambda _, step=step: step))
                StepSeedHook().before_train_iter(runner, 0)
                seen.add((torch.rand(1).item(), random.random(),
                          np.random.rand()))
    assert all(len({draw[i] for draw in seen}) == 8 for i in range(3))
