# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib.util
from pathlib import Path

import pytest

TOOL = (
    Path(__file__).resolve().parents[2] /
    'tools/analysis_tools/collaborative_cost.py')


def run(monkeypatch, capsys, *arguments):
    spec = importlib.util.spec_from_file_location('collaborative_cost', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr('sys.argv', ['collaborative_cost.py', *arguments])
    tool.main()
    lines = capsys.readouterr().out.splitlines()
    lines = [x for x in lines if x.startswith('|')]
    rows = [[x.strip() for x in line.strip('|').split('|')] for line in lines]
    return [dict(zip(rows[0], row)) for row in rows[2:]]


def test_slowfast_costs_what_the_paper_says(monkeypatch, capsys):
    plain, slow, each = run(monkeypatch, capsys, '--model', 'SlowFast-50 4x16',
                            '--reduction', '4', '--num-clips', '2')
    assert round(float(plain['GMACs'])) == 36
    assert round(float(slow['GMACs'])) == int(slow['paper']) == 37
    for row in (slow, each):
        assert 0 < float(row['more'].strip('+ %')) < 3
    # By hand: W_k, W_v and the outer product at 4 x 8 x 8 places; W_q, M and
    # W_o once.
    macs = 256 * (2 * 2048 * 512 + 512 * 512) + 2 * 2048 * 512 + 512 * 512
    assert float(slow['GMACs']) - float(plain['GMACs']) == pytest.approx(
        macs / 1e9, abs=0.011)
    assert float(slow['of N']) == round(2 * float(slow['GMACs']))


def test_parameters_are_the_papers(monkeypatch, capsys):
    rows = run(monkeypatch, capsys, '--model', 'SlowOnly-50 8x8', '--size',
               '64', '--num-clips', '1')
    assert len(rows) == 5
    assert rows[1]['params/M'] == '49.2'
    assert rows[4]['params/M'] == '34.6'


def test_a_config_needs_channels(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, '--config', 'x.py')
    assert '--channels' in capsys.readouterr().err
