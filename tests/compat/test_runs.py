# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.runs import config, made_up_loader, make_runner
from mmengine.runner import Runner

from mmaction_memvit.compat.runs import before_runs


@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_a_check_comes_before_anything_is_built(tmp_path, monkeypatch, mode):
    seen = []

    def check(runner, started):
        seen.append((started, getattr(runner, f'_{started}_loop')))
        raise RuntimeError('stop')

    for name in ('train', 'val', 'test'):
        monkeypatch.setattr(Runner, name, getattr(Runner, name).__wrapped__)
    before_runs(check)
    before_runs(check)
    loaders = {mode: made_up_loader([2, 2], train=mode == 'train')}
    runner = make_runner(config(tmp_path, **loaders))
    with pytest.raises(RuntimeError, match='stop'):
        getattr(runner, mode)()
    (started, loop), = seen
    assert started == mode and isinstance(loop, dict)
    # What was never asked for is for the runner to tell.
    other = 'test' if mode == 'train' else 'train'
    with pytest.raises(RuntimeError, match='None'):
        getattr(runner, other)()
    assert len(seen) == 1
