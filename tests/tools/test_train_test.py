# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import subprocess
import sys

import pytest
from helpers.tools import ROOT, load_tool

CONFIG = """
model = dict(type='X')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=1.))
val_cfg = dict()
val_dataloader = dict()
val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
default_hooks = dict(visualization=dict(type='VisualizationHook'))
randomness = dict(seed=7)
"""


@pytest.fixture(scope='module')
def tools():
    """tools/train.py and tools/test.py as modules."""
    yield load_tool('tools/train.py'), load_tool('tools/test.py')
    # Imported by the other one.
    sys.modules.pop('train', None)


@pytest.fixture()
def configure(tools, tmp_path, monkeypatch):
    """Returns a function from command line arguments to the config."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my_config.py').write_text(CONFIG)
    (tmp_path / 'best.pth').write_bytes(b'')

    def run(tool, *arguments):
        module = tools[('train', 'test').index(tool)]
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *arguments])
        host = tools[0].host_tool(f'{tool}.py')
        return module.config_of(host.parse_args(), host)

    return run


@pytest.mark.parametrize('said, arguments', [
    ('nothing.py', ('train', 'nothing.py')),
    ('auto_scale_lr', ('train', 'my_config.py', '--auto-scale-lr')),
    ('nothing.pth', ('test', 'my_config.py', 'nothing.pth')),
    ('pkl', ('test', 'my_config.py', 'best.pth', '--dump', 'a.json')),
])
def test_what_is_refused_is_named(configure, said, arguments):
    with pytest.raises(SystemExit, match=said):
        configure(*arguments)


@pytest.mark.parametrize('arguments, there, resume, load_from', [
    ((), True, None, 'k400.pth'),
    (('--resume', ), True, True, None),
    (('--resume', 'a.pth'), True, True, 'a.pth'),
    # Cluster scripts always say --resume: weights are still loaded.
    (('--resume', ), False, False, 'k400.pth'),
    (('--resume', '--cfg-options', 'work_dir=work_dirs/pre'), True, True,
     None),
])
def test_resume(configure, tmp_path, arguments, there, resume, load_from):
    name = 'pre' if '--cfg-options' not in arguments else 'other'
    (tmp_path / f'{name}.py').write_text(CONFIG + "load_from = 'k400.pth'\n")
    (tmp_path / 'work_dirs/pre').mkdir(parents=True)
    if there:
        (tmp_path / 'work_dirs/pre/last_checkpoint').write_text('epoch_1.pth')
    cfg = configure('train', f'{name}.py', *arguments)
    assert cfg.get('resume') is resume
    assert cfg.get('load_from') == load_from


def test_options_of_the_evaluator_go_with_a_dump(configure):
    cfg = configure('test', 'my_config.py', 'best.pth', '--dump', 'a.pkl',
                    '--cfg-options', 'test_evaluator.dump_file=a.npz')
    metric, dump = cfg.test_evaluator
    assert metric == dict(type='AccMetric', dump_file='a.npz')
    assert dump['out_file_path'] == 'a.pkl'


def test_config_of_a_resumed_run_tests(configure, tmp_path):
    (tmp_path / 'old.py').write_text(CONFIG + 'resume = True\n')
    cfg = configure('test', 'old.py', 'best.pth')
    assert cfg.resume is False and cfg.load_from == 'best.pth'
    assert cfg.work_dir == 'work_dirs/old'
    url = 'https://host/x.pth'
    cfg = configure('test', 'old.py', url, '--work-dir', 'here')
    assert (cfg.load_from, cfg.work_dir) == (url, 'here')


def test_command_line_wins_over_the_seed_of_the_config(configure):
    assert configure('train', 'my_config.py').randomness.seed == 7
    cfg = configure('train', 'my_config.py', '--seed', '0', '--deterministic')
    assert cfg.randomness == dict(seed=0, deterministic=True)
    cfg = configure('train', 'my_config.py', '--seed', '1', '--cfg-options',
                    'randomness.seed=2', 'model.n=[1,2]')
    assert cfg.randomness.seed == 2 and cfg.model.n == [1, 2]


def test_processes_of_a_test_get_its_options():
    """test_end_to_end.py trains by the other script."""
    said = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_test.sh'), 'a.py', 'b.pth', '2',
         '--dump', 'c.pkl'], env=dict(os.environ, PYTHON='echo'),
        capture_output=True, text=True).stdout
    assert '-m torch.distributed.run' in said
    assert '--nproc_per_node=2' in said and said.rstrip().endswith(
        f'{ROOT}/tools/test.py a.py b.pth --launcher pytorch --dump c.pkl')
