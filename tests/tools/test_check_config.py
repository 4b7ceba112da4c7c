# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from helpers.models import SLOWONLY
from helpers.runs import MODEL, config, loader, write_videos
from helpers.told import warnings_once
from helpers.tools import ROOT, tool_fixture
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

tool = tool_fixture('tools/check_config.py')


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = write_videos(tmp_path_factory.mktemp('videos'))
    (folder / 'val.txt').write_text((folder / 'videos.txt').read_text())
    return folder


@pytest.fixture
def run(tool, videos, tmp_path, capsys):
    """Runs the tool on a tiny config; gives exit code and output."""
    val = loader(videos, train=False, ann_file=str(videos / 'val.txt'))
    config(tmp_path / 'run', loader(videos, train=True), val,
           val).dump(str(tmp_path / 'config.py'))

    def check(*options, path=None):
        code = 0
        try:
            tool.main([path or str(tmp_path / 'config.py'), *options])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out

    return check


def test_a_right_config_does_a_step(run):
    code, out = run()
    assert code == 0 and 'Nothing is wrong.' in out
    for what in ('model', 'train data', 'train, a step', 'val, a step',
                 'test, a step'):
        assert f'{what}: done in' in out


def test_what_is_wrong_is_told(run):
    code, out = run('--cfg-options', 'val_dataloader.batch_sampler=None',
                    'model.cls_head.num_classes=2')
    assert code == 1
    assert "val_dataloader.batch_sampler=dict(type='StreamBatchS" in out
    # Of the data.
    assert 'model.cls_head.num_classes=3' in out


def test_weights_of_another_model(run, tmp_path):
    weights = MODELS.build(MODEL).state_dict()
    path = str(tmp_path / 'weights.pth')
    torch.save(weights, path)
    assert run('--cfg-options', f'load_from={path}')[0] == 0
    torch.save({k: x for k, x in weights.items() if 'blocks' not in k}, path)
    code, out = run('--cfg-options', f'load_from={path}')
    assert code == 1 and 'load_from: fails' in out and path in out
    # Of what init_cfg names little is enough.
    torch.save(dict(other=torch.ones(3)), path)
    start = 'model.backbone.init_cfg.0'
    code, out = run('--cfg-options', f'{start}.type=Pretrained',
                    f'{start}.checkpoint={path}')
    assert code == 1 and 'init_cfg: fails' in out


@pytest.mark.parametrize('options, word', [
    (['momentum=0.9'], 'momentum'),
    # No decay that those of norms could be a multiple of.
    (['_delete_=True', 'type=SGD', 'lr=0.1'], 'base_wd')])
def test_an_optimizer_that_cannot_be_built(run, options, word):
    code, out = run(
        '--cfg-options', 'optim_wrapper.paramwise_cfg.norm_decay_mult=0',
        *(f'optim_wrapper.optimizer.{x}' for x in options))
    assert code == 1
    line, = [x for x in out.splitlines() if 'optimizer: fails' in x]
    assert word in line


def test_a_step_that_fails(run):
    code, out = run('--cfg-options', 'model.cls_head.in_channels=7')
    assert code == 1
    for mode in ('train', 'val', 'test'):
        assert f'{mode}, a step: fails with' in out


def test_data_that_are_not_there(run, monkeypatch, tmp_path):
    path, = ROOT.glob('configs/recognition/memvit/memvit-tiny-m8_longcue*')
    monkeypatch.chdir(tmp_path)
    code, out = run(path=str(path))
    assert code == 1 and 'Nothing is wrong' not in out
    for mode in ('train', 'val', 'test'):
        assert f'{mode} data: not looked at' in out
    assert 'Not looked at: train data, val data, test data' in out


@pytest.mark.parametrize('text, word', [(None, 'nothere.py'),
                                        ('', 'has no model')])
def test_what_is_no_config(run, tmp_path, text, word):
    path = tmp_path / 'nothere.py'
    if text is not None:
        path.write_text(text)
    code, _ = run(path=str(path))
    assert word in code


def test_two_samples_are_no_fault_of_the_config(tool, monkeypatch):
    """Groups of the collaborative memory are as small as the tool's batch."""
    told = warnings_once(monkeypatch)
    model = MODELS.build(dict(
        type='CollaborativeRecognizer3D', backbone=dict(SLOWONLY, depth=18),
        neck=dict(type='CollaborativeMemory', in_channels=32),
        cls_head=dict(type='I3DHead', num_classes=3, in_channels=32)))
    batch = dict(
        inputs=[torch.zeros(2, 3, 2, 32, 32, dtype=torch.uint8)] * 2,
        data_samples=[ActionDataSample().set_gt_label(k) for k in range(2)])
    tool.train_step(model, batch)
    assert not told
    model(**model.data_preprocessor(batch, True), mode='loss')
    assert told
