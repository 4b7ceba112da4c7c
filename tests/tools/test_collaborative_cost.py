# Copyright (c) mmaction_memvit contributors. All rights reserved.
import argparse

import pytest
from helpers.tools import ROOT, tool_fixture
from mmengine.config import Config

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
        lines = capsys.readouterr().out.splitlines()
        rows = [[x.strip() for x in line.strip('|').split('|')]
                for line in lines if line.startswith('|')]
        assert set(''.join(rows[1])) == {'-'}
        return [dict(zip(rows[0], row)) for row in rows[2:]]

    return call


def test_slowfast_costs_what_the_paper_says(run):
    plain, slow, each = run('--model', 'SlowFast-50 4x16', '--reduction', '4',
                            '--num-clips', '2')
    assert round(float(plain['GMACs'])) == 36
    for row in (slow, each):
        assert 0 < float(row['more'].strip('+ %')) < 3
        assert round(float(row['GMACs'])) == 37
    # By hand: W_k, W_v and the outer product at 4 x 8 x 8 places; W_q, M and
    # W_o once.
    macs = 256 * (2 * 2048 * 512 + 512 * 512) + 2 * 2048 * 512 + 512 * 512
    assert float(slow['GMACs']) - float(plain['GMACs']) == pytest.approx(
        macs / 1e9, abs=0.011)
    assert float(slow['of N']) == pytest.approx(
        2 * float(slow['GMACs']), abs=.06)


def test_parameters_are_the_papers(run):
    rows = run('--model', 'SlowOnly-50 8x8', '--size', '64', '--num-clips',
               '1')
    assert [x['params/M'] for x in rows[1:]] == [
        '49.2', '40.9', '36.7', '34.6']


def test_every_host_is_a_config(tool):
    args = argparse.Namespace(
        config=None, channels=None, frames=None, size=None, num_clips=None)
    for name in tool.HOSTS:
        host = tool.load_host(args, name)
        assert host.neck['type'] == 'CollaborativeMemory'
        assert (host.size, host.num_clips) == ((256, 256), [9])
        assert host.frames == (8 if 'SlowOnly' in name else 32)
        pathways = (2048, 256) if 'SlowFast' in name else 2048
        assert host.channels == (512 if '-34' in name else pathways)


SMALL = f"""
_base_ = ['{CONFIG}']
model = dict(
    backbone=dict(depth=18, base_channels=8),
    neck=dict(in_channels=64, memory='average', infusion='residual',
              reduction=2),
    cls_head=dict(in_channels=64))
"""


def test_a_config_tells_its_memory(run, tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(SMALL)
    small = ('--config', str(path), '--size', '64', '--num-clips', '1')
    plain, row = run(*small)
    assert (plain['memory'], row['memory'], row['infusion'], row['r'],
            row['model']) == ('none', 'average', 'residual', '2', 'small.py')
    assert float(row['params/M']) >= float(plain['params/M'])
    # What the command line says goes before.
    rows = run(*small, '--memory', 'associative', '--reduction', '1', '4')
    assert [(x['memory'], x['infusion'], x['r']) for x in rows[1:]] == [
        ('associative', 'residual', '1'), ('associative', 'residual', '4')]


def test_a_config_without_memory_tells_its_channels(run, tmp_path):
    path = tmp_path / 'plain.py'
    path.write_text(f"{SMALL}model['neck'] = None\n")
    rows = run('--config', str(path), '--size', '32')
    assert rows == run('--config', str(path), '--channels', '64', '--size',
                       '32')
    assert [x['memory'] for x in rows] == ['none', 'associative']


CROPS = """
crop = {crop}
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='Resize', scale=(-1, 99)), *crop]))
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset',
    dataset=dict(pipeline=[
        dict(type='SampleFrames', clip_len=4, num_clips={sampled}),
        dict(type='PerVideoAugment', transforms=[
            dict(type='RandomResizedCrop'),
            dict(type='Resize', scale=(32, 64), keep_ratio=False)])])))
"""


@pytest.mark.parametrize('crop, sampled, options, size, num_clips', [
    ("[dict(type='ThreeCrop', crop_size=96)]", 3, '', (96, 96), 3),
    ("[dict(type='CenterCrop', crop_size=(96, 64))]", 3, '', (64, 96), 3),
    # One clip shares no memory.
    ('[]', 1, '', (64, 32), 9),
    ('[]', 3, '--size 32 --num-clips 2', (32, 32), 2),
])
def test_sizes_are_the_configs(tool, tmp_path, monkeypatch, capsys, crop,
                               sampled, options, size, num_clips):
    path = tmp_path / 'small.py'
    path.write_text(SMALL + CROPS.format(crop=crop, sampled=sampled))
    monkeypatch.setattr(
        'sys.argv', ['tool', '--config', str(path), *options.split()])
    tool.main()
    lines = capsys.readouterr().out.splitlines()
    assert f'clips of 4 frames, {size[0]}x{size[1]} (' in lines[0]
    assert f'; N = {num_clips} (' in lines[0]
    plain, row = ([x.strip() for x in line.strip('|').split('|')]
                  for line in lines[4:6])
    _, macs = tool.count(
        Config.fromfile(str(path)).model, (3, 4, *size), None, 1)
    assert float(plain[6]) == pytest.approx(macs / 1e9, rel=0.01) != 0
    assert row[4] == str(num_clips)
    assert float(row[-1]) == pytest.approx(num_clips * float(row[6]), rel=0.02)
