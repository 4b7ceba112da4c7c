# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.preflight import ROOT, changed, findings
from mmengine.config import Config

TINY = 'configs/recognition/memvit/memvit-tiny-m2_longcue-rgb.py'


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(str(ROOT / TINY))


def test_misspelt_sections(cfg):
    found, = findings(changed(cfg, train_dataloder=dict(batch_size=3)))
    assert found.is_error and 'train_dataloader' in found.change


@pytest.mark.parametrize('begin, t_max, end, last', [
    (0, 3, None, 3), (2, 3, None, 5), (2, 3, 5, None), (2, 10, None, None)])
def test_schedules_that_end_before_the_training(cfg, begin, t_max, end, last):
    scheduler = dict(type='CosineAnnealingLR', T_max=t_max, begin=begin,
                     end=end)
    found = findings(changed(cfg, **{
        'train_cfg.max_epochs': 12, 'param_scheduler': [scheduler]}))
    assert len(found) == (last is not None)
    for x in found:
        assert not x.is_error and f'epoch {last} on' in x.problem
        assert x.change.endswith(f'T_max={12 - begin}')


def test_processes_that_nobody_joined(cfg, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert not findings(changed(cfg, launcher='none'))
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    found, = findings(changed(cfg, launcher='none'))
    assert found.is_error and '--launcher pytorch' in found.change
