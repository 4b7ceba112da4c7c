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


@pytest.mark.parametrize('option, change', [
    ('train_cfg.max_epoch', 'max_epochs'), ('val_cfg.intervall', ''),
    ('default_hooks.checkpoint.intervall', 'interval'),
    ('default_hooks.timer.interval', ''),
    ('custom_hooks.0.check_afer', 'check_after')])
def test_options_that_nobody_knows(cfg, option, change):
    found, = findings(changed(cfg, **{option: 2}))
    assert found.is_error and found.where == option
    assert change in found.change


@pytest.mark.parametrize('option, value', [
    ('default_hooks.checkpoint.meta', None),  # of Runner.save_checkpoint
    ('custom_hooks.0.priority', 'LOW'),
    ('train_cfg', dict(by_epoch=False, max_iters=2))])
def test_options_that_are_known(cfg, option, value):
    assert not findings(changed(cfg, **{option: value}))


@pytest.mark.parametrize('metric, best, is_told', [
    ('VideoAccMetric', 'auto', False), ('VideoAccMetric', 'acc/top1', False),
    ('VideoAccMetric', ['acc/top1', 'mAP/overall'], True),
    ('AVADetectionMetric', 'mAP/overal', True),
    ('AVADetectionMetric', 'mAP/overall_official', False)])
def test_a_best_that_nobody_measures(cfg, metric, best, is_told):
    cfg = changed(cfg, val_evaluator=dict(type=metric), **{
        'default_hooks.checkpoint.save_best': best})
    found = [x for x in findings(cfg) if 'save_best' in x.where]
    assert len(found) == is_told and all(x.is_error for x in found)


def test_processes_that_nobody_joined(cfg, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert not findings(changed(cfg, launcher='none'))
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    found, = findings(changed(cfg, launcher='none'))
    assert found.is_error and '--launcher pytorch' in found.change
