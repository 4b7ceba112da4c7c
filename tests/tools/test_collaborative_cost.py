# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.tools import ROOT, tool_fixture

tool = tool_fixture('tools/analysis_tools/collaborative_cost.py')
CONFIG = (
    ROOT / 'configs/recognition/collaborative/'
    'slowonly_r50-memory_k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py')


@pytest.fixture()
def run(tool, monkeypatch, capsys):
    """Returns a function from arguments to the rows of the table."""

    def call(*arguments):
        monkeypatch.setattr('sys.argv', ['collaborative_cost.py', *arguments])
        tool.main()
        rows = [[x.strip() for x in line.strip('|').split('|')]
                for line in capsys.readouterr().out.splitlines()]
        assert set(''.join(rows[1])) == {'-'}
        return [dict(zip(rows[0], row)) for row in rows[2:]]

    return call


def test_slowfast_costs_what_the_paper_says(run):
    slow = 'model.neck.in_channels=[2048,None]'
    for options in ((), ('--cfg-options', slow)):
        plain, row = run('--model', 'SlowFast-50 4x16', '--reduction', '4',
                         *options)
        costs = [float(x['GMACs a clip']) for x in (plain, row)]
        assert [round(x) for x in costs] == [36, 37]
        assert 0 < float(row['more'].strip('+%')) < 3
    # By hand: W_k, W_v and the outer product at 4 x 8 x 8 places; W_q, M and
    # W_o once.
    macs = 256 * (2 * 2048 * 512 + 512 * 512) + 2 * 2048 * 512 + 512 * 512
    assert costs[1] - costs[0] == pytest.approx(macs / 1e9, abs=0.011)


def test_parameters_are_the_papers(run):
    rows = run('--model', 'SlowOnly-50 8x8', '--size', '64')
    assert [x['params/M'] for x in rows[1:]] == [
        '49.2', '40.9', '36.7', '34.6']


def test_every_host_is_a_config(tool):
    for name in tool.HOSTS.values():
        assert (tool.CONFIGS / f'{name}{tool.END}').is_file()


def test_a_config_of_ones_own(run, tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(f"""
_base_ = ['{CONFIG}']
model = dict(
    backbone=dict(depth=18, base_channels=8),
    neck=dict(in_channels=64, memory='average', reduction=2),
    cls_head=dict(in_channels=64))
""")
    small = '--config', str(path), '--size', '64'
    plain, row = run(*small)
    assert (plain['memory'], row['memory'], row['model']) == (
        'none', 'r = 2', 'small.py')
    assert float(row['params/M']) >= float(plain['params/M'])
    # What the command line says goes before.
    rows = run(*small, '--reduction', '1', '4', '--cfg-options',
               'model.neck.memory=associative')
    assert [x['memory'] for x in rows[1:]] == ['r = 1', 'r = 4']
    assert float(rows[1]['GMACs a clip']) > float(row['GMACs a clip'])
    with pytest.raises(SystemExit, match='in_channels'):
        run(*small, '--cfg-options', 'model.neck=None')
