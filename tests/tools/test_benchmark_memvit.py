# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from helpers.runs import MODEL
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools/analysis_tools'
CONFIG = """
model = {model}
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='SampleFrames', clip_len=4, num_clips=1),
    dict(type='Resize', scale=(32, 32), keep_ratio=False)]))
"""


@pytest.fixture()
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    # The tool silences its whole process, which is ours.
    monkeypatch.setattr('logging.disable', lambda level: None)
    import benchmark_memvit
    torch.set_num_threads(1)
    return benchmark_memvit


@pytest.fixture()
def run(tool, tmp_path, monkeypatch):
    """Returns a function from arguments to the rows and the text."""

    def call(*arguments):
        out = tmp_path / 'table.md'
        monkeypatch.setattr(
            'sys.argv', ['tool', *map(str, arguments), '--out', str(out)])
        tool.main()
        found = json.loads(out.with_suffix('.json').read_text())
        return found, out.read_text()

    return call


def test_models_by_name_and_config(run, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(CONFIG.format(model=repr(MODEL)))
    found, text = run(
        '--model', 'mvit-tiny', 'memvit-tiny-m2', path, f'{path}@backbone',
        'memvit-enormous', '--size', 32, '--batch-size', 1, 2, '--rounds', 2,
        '--train-rounds', 1, '--how', 'eager', 'graph')
    rows = [x for x in found['rows'] if 'error' not in x]
    names = ['mvit-tiny', 'memvit-tiny-m2', 'mine', 'mine @backbone']
    groups = [(mode, size) for mode in ('infer', 'train') for size in (1, 2)]
    assert [(x['mode'], x['batch_size'], x['model']) for x in rows] == [
        (*group, name) for group in groups for name in names]
    for row in rows:
        assert row['clips_per_second'] == pytest.approx(
            1e3 * row['batch_size'] / row['ms'])
        assert 0 < row['ceiling_share'] < 1
        base = next(x for x in rows if x['model'] == 'mvit-tiny' and all(
            x[k] == row[k] for k in ('mode', 'batch_size')))
        assert row['ratio'] == pytest.approx(base['ms'] / row['ms'])
    # The whole is more than its backbone, training more than inference.
    count = {(x['mode'], x['batch_size'], x['model']): x['operators']
             for x in rows}
    for mode, size in groups:
        assert count[mode, size, 'mine'] > count[mode, size,
                                                 'mine @backbone'] > 50
    assert all(count['train', 1, x] > 1.5 * count['infer', 1, x]
               for x in names)
    kept = [x['kept_mib'] for x in rows if x['model'] == 'memvit-tiny-m2']
    assert kept[:2] == [None, None]
    assert kept[3] == pytest.approx(2 * kept[2], rel=0.1)
    # What fails says why, and stops nothing.
    errors = {(x['model'], x['how']): x['error'] for x in found['rows']
              if 'error' in x}
    assert 'memvit-enormous' in errors['memvit-enormous', 'eager']
    assert 'GPU' in errors['memvit-tiny-m2', 'graph']
    assert 'enormous' in text and '| mine ' in text


def test_image_transformers_by_name(run):
    found, _ = run('--model', 'vit-tiny', 'xvit-tiny', '--size', 32,
                   '--mode', 'infer', '--rounds', 1)
    vit, xvit = found['models']
    # One transformer block on 16 vectors; mixing itself is no operation.
    block = 12 * 192**2
    assert xvit['params_m'] - vit['params_m'] == pytest.approx(
        13 / 12 * block / 1e6, rel=0.02)
    assert xvit['gmacs'] - vit['gmacs'] == pytest.approx(
        17 * block / 1e9, rel=0.05)
    assert not [x for x in found['rows'] if 'error' in x]


def test_numbers_are_right(tool):
    from benchmarking.counting import OperatorCounter, saved_bytes
    linear = torch.nn.Linear(8, 4)
    x = torch.randn(2, 8)
    with OperatorCounter() as counter:
        # Two products with a bias, one of which waits; a view does not count.
        y = linear(x)
        y.t()
        y.sum().item()
    assert counter.flops == 2 * 2 * 8 * 4
    assert (counter.operators, counter.waiting) == (3, 1)
    kept = saved_bytes(lambda: linear(x).exp(), linear)
    assert kept == 4 * (2 * 8 + 2 * 4)


@pytest.mark.cuda
@pytest.mark.parametrize('mode', ['infer', 'train'])
def test_a_graph_goes_the_way_of_eager(tool, mode):
    from benchmarking.runs import Group, Run
    from benchmarking.subjects import build_subject
    found = []
    for how in ('eager', 'graph'):
        torch.manual_seed(0)
        subject = build_subject('memvit-tiny-m2', how, 32)
        subject.model.cuda()
        run = Run(subject, Group(mode, 'fp32', 2), torch.device('cuda'))
        if how == 'eager':
            # A graph starts with an empty memory.
            run.state.memory = subject.start(2)
        # As long as weights hardly move.
        steps = []
        for _ in range(4):
            run.call()
            steps.append(run.out.clone())
        found.append(torch.stack(steps))
    assert (found[1][0] - found[1][3]).abs().max() > 1e-6
    torch.testing.assert_close(*found, atol=1e-3, rtol=1e-3)


@pytest.fixture()
def gpu_check(tool, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/dev'))
    import gpu_check
    return gpu_check


def test_gpu_check_runs_dry(gpu_check, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', [
        'tool', '--dry', '--seconds', '300', '--out', str(tmp_path)])
    commands = []

    def pytest_of_another_process(command, **kwargs):
        commands.append(command)
        return CompletedProcess(command, 0, '20 tests collected')

    monkeypatch.setattr('subprocess.run', pytest_of_another_process)
    gpu_check.main()
    assert ['-m', 'cuda'] == commands[0][3:5]
    text = capsys.readouterr().out
    assert 'exit code 0' in text
    assert text.count('NOT MEASURED') > 15
    rows = json.loads((tmp_path / 'speed.json').read_text())['rows']
    measured = {x['model'] for x in rows if 'error' not in x}
    assert measured == {'mvit-tiny', *(f'memvit-tiny-m{m}' for m in (0, 2, 4))}


@pytest.mark.parametrize('speed, memory, lines', [
    (4., .5, ['met', 'NOT MET', 'NOT MET']), (6., .4, ['met', 'met', 'met'])])
def test_verdict(gpu_check, speed, memory, lines):
    rows = [
        dict(model='memvit-m2', how=how, mode='infer', dtype='bf16',
             batch_size=8, ratio=speed, peak_ratio=memory, ms=1., finite=True)
        for how in ('eager', 'graph')]
    found = [line for line in gpu_check.verdict(rows)
             if not line.startswith('NOT MEASURED')]
    assert [line[:12].strip() for line in found] == lines
    # What is not finite counts for nothing.
    assert all(x.startswith('NOT MEASURED') for x in gpu_check.verdict(
        [dict(x, finite=False) for x in rows]))


def test_clips_are_those_of_training(tool):
    from benchmarking.subjects import clips_of
    folder = ROOT / 'configs'
    for path, expected in (
        ('recognition/memvit/memvit-small-p244-m2_k400-pre_8xb8-16x4x1-30e_'
         'kinetics400-rgb.py', (1, 16, 224)),
        ('recognition/collaborative/slowonly_r50-memory_k400-pre_8xb1-8x8x1-'
         'n8-15e_kinetics400-rgb.py', (8, 8, 224)),
        # Nothing in its pipeline makes a fixed size, the backbone has one.
        ('recognition/epic100/memvit-tiny-m8_epic-generated-rgb.py',
         (1, 4, 32))):
        assert clips_of(Config.fromfile(str(folder / path))) == expected


def test_windows_by_name(run):
    names = ['memvit-tiny-m2', 'memvit-tiny-m2-u3', 'memvit-tiny-m2-u3-cp']
    found, _ = run('--model', *names, '--size', 64, '--batch-size', 2,
                   '--mode', 'train', '--train-rounds', 1)
    one, plain, recomputed = found['rows']
    assert [x['clips'] for x in found['rows']] == [2, 6, 6]
    assert plain['peak_mib'] > 2 * one['peak_mib']
    assert recomputed['peak_mib'] < 0.7 * plain['peak_mib']
