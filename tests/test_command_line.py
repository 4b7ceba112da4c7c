# Copyright (c) mmaction_memvit contributors. All rights reserved.
from argparse import Namespace

import pytest
from helpers.runs import ROOT

from mmaction_memvit import command_line

CONFIG, = ROOT.glob('configs/recognition/memvit/*_custom-rgb.py')


@pytest.mark.parametrize('option, told', [
    ('max_epochs', True), ('train_pipeline.0.type', True),
    ('train_dataloader.batch_size', False), ('work_dir', False),
    ('preflight', False), ('any_checkpoint_fits', False)])
def test_variables_that_are_set_too_late(monkeypatch, option, told):
    warnings = []
    monkeypatch.setattr(command_line, 'warn', warnings.append)
    command_line.read_config(Namespace(
        config=str(CONFIG), cfg_options={option: 1}))
    assert [option in x for x in warnings] == [True] * told
