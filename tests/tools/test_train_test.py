# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import sys
from pathlib import Path

import pytest
import torch
from helpers.distributed import spawn_two
from helpers.tools import load_tool

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
        args = module.parse_args()
        cfg = module.load_config(args)
        module.apply_options(cfg, args)
        return cfg

    return run


@pytest.mark.parametrize('arguments', [
    ('train', 'nothing.py'),
    ('train', 'my_config.py', '--auto-scale-lr'),
    ('test', 'my_config.py', 'nothing.pth'),
    ('test', 'my_config.py', 'best.pth', '--dump', 'a.json'),
])
def test_what_is_refused_is_named(configure, arguments):
    said = arguments[-1].replace('--auto-scale-lr', 'base_batch_size')
    with pytest.raises(SystemExit, match=said):
        configure(*arguments)


class TestTrain:

    def test_missing_weights(self, configure, tools):
        """Said before anything is built, with the remedy."""
        cfg = configure('train', 'my_config.py', '--cfg-options',
                        'load_from=checkpoints/no.pth')
        with pytest.raises(SystemExit, match='no.pth.*load_from=None'):
            tools[0].check_weights(cfg)
        for load_from in ('best.pth', 'None', 'https://host/x.pth'):
            tools[0].check_weights(
                configure('train', 'my_config.py', '--cfg-options',
                          f'load_from={load_from}'))

    @pytest.mark.parametrize('arguments, resume, load_from', [
        ((), None, 'k400.pth'),
        (('--resume', ), True, None),
        (('--resume', 'a.pth'), True, 'a.pth'),
    ])
    def test_resume(self, configure, tmp_path, arguments, resume, load_from):
        (tmp_path / 'pre.py').write_text(CONFIG + "load_from = 'k400.pth'\n")
        (tmp_path / 'work_dirs/pre').mkdir(parents=True)
        (tmp_path / 'work_dirs/pre/last_checkpoint').write_text('epoch_1.pth')
        cfg = configure('train', 'pre.py', *arguments)
        assert cfg.get('resume') is resume
        assert cfg.get('load_from') == load_from

    def test_resume_in_the_work_dir_of_the_options(self, configure, tmp_path):
        (tmp_path / 'there').mkdir()
        (tmp_path / 'there/last_checkpoint').write_text('epoch_1.pth')
        cfg = configure('train', 'my_config.py', '--resume', '--cfg-options',
                        'work_dir=there')
        assert cfg.resume is True and cfg.load_from is None

    def test_resume_with_nothing_to_resume(self, configure, tmp_path, capsys):
        """Cluster scripts always say --resume: weights are still loaded."""
        (tmp_path / 'pre.py').write_text(CONFIG + "load_from = 'k400.pth'\n")
        cfg = configure('train', 'pre.py', '--resume')
        assert cfg.resume is False and cfg.load_from == 'k400.pth'
        assert 'starts from load_from=k400.pth' in capsys.readouterr().out

    def test_config_of_a_resumed_run_tests(self, configure, tmp_path):
        (tmp_path / 'old.py').write_text(CONFIG + 'resume = True\n')
        cfg = configure('test', 'old.py', 'best.pth')
        assert cfg.resume is False and cfg.load_from == 'best.pth'

    def test_work_dir(self, configure):
        assert configure('train',
                         'my_config.py').work_dir == 'work_dirs/my_config'
        cfg = configure('train', 'my_config.py', '--work-dir', 'here')
        assert cfg.work_dir == 'here'

    def test_command_line_wins_over_the_seed_of_the_config(self, configure):
        assert configure('train', 'my_config.py').randomness.seed == 7
        cfg = configure('train', 'my_config.py', '--seed', '0',
                        '--deterministic')
        assert cfg.randomness.seed == 0
        assert cfg.randomness.deterministic is True
        assert 'diff_rank_seed' not in cfg.randomness

    def test_amp(self, configure):
        cfg = configure('train', 'my_config.py', '--amp')
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
        assert cfg.optim_wrapper.loss_scale == 'dynamic'
        assert 'type' not in configure('train', 'my_config.py').optim_wrapper

    def test_amp_with_another_wrapper(self, configure, tmp_path):
        (tmp_path / 'apex.py').write_text(
            CONFIG + "optim_wrapper['type'] = 'ApexOptimWrapper'")
        with pytest.raises(SystemExit, match='ApexOptimWrapper'):
            configure('train', 'apex.py', '--amp')

    def test_no_validate(self, configure):
        cfg = configure('train', 'my_config.py', '--no-validate')
        assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None

    def test_cfg_options_win(self, configure):
        cfg = configure('train', 'my_config.py', '--seed', '1',
                        '--cfg-options', 'randomness.seed=2', 'model.n=[1,2]')
        assert cfg.randomness.seed == 2 and cfg.model.n == [1, 2]


class TestTest:

    def test_checkpoint_from_the_net(self, configure):
        url = 'https://host/x.pth'
        assert configure('test', 'my_config.py', url).load_from == url

    def test_dump_is_added_to_the_metrics(self, configure):
        cfg = configure('test', 'my_config.py', 'best.pth', '--dump', 'a.pkl')
        assert [m['type'] for m in cfg.test_evaluator
                ] == ['AccMetric', 'DumpResults']
        assert cfg.test_evaluator[1]['out_file_path'] == 'a.pkl'

    def test_show_dir(self, configure):
        cfg = configure('test', 'my_config.py', 'best.pth', '--show-dir',
                        'shown', '--interval', '3')
        hook = cfg.default_hooks.visualization
        assert (hook.enable, hook.out_dir, hook.interval) == (True, 'shown', 3)


def threads():
    return len(os.listdir('/proc/self/task'))


def join_and_leave(rank, finish, folder):
    """Counts threads before, in, and after a job."""
    before = threads()
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/{rank}', rank=0, world_size=1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    model.itself = [model]
    del model
    inside = threads()
    finish()
    assert before == threads() < inside


@pytest.mark.skipif(
    not Path('/proc/self/task').is_dir(), reason='counts threads by /proc')
def test_a_distributed_job_leaves_no_thread(tools, tmp_path):
    """One of Gloo that outlives Python aborts the process now and then."""
    spawn_two(join_and_leave, tools[0].finish, tmp_path)
