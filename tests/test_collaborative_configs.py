# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Configs of collaborative memories say what the paper says."""
import copy
import math
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from helpers.runs import learning_rates, make_runner, on_two_processes
from helpers.tools import load_tool
from helpers.videos import write_video
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs/recognition/collaborative'
STOCK = Path(mmaction.__file__).parent / '.mim/configs/recognition'
CONFIGS = {
    p.stem: Config.fromfile(str(p))
    for p in (*FOLDER.glob('*.py'), *FOLDER.parent.glob('charades/*.py'),
              *ROOT.glob('configs/detection/collaborative/*.py'))
    if 'distant-pair' not in p.stem
}
KINETICS = sorted(x for x in CONFIGS if '_kinetics' in x)
STHV1 = sorted(x for x in CONFIGS if '_sthv1' in x)
GPUS = 8
# Iterations of an epoch in these tests.
EPOCH = 100


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')
    torch.set_num_threads(1)


def build(model, device='meta'):
    model = copy.deepcopy(model)
    with torch.device(device):
        return MODELS.build(model)


@pytest.mark.parametrize('name', KINETICS)
def test_kinetics_schedule(name):
    cfg = CONFIGS[name]
    assert cfg.train_cfg.max_epochs == 15
    optim = cfg.optim_wrapper.optimizer
    assert (optim.type, optim.momentum) == ('SGD', 0.9)
    # 0.0125 for 8 videos a node, and the linear scaling rule; the file name
    # says how many there are.
    videos = GPUS * cfg.train_dataloader.batch_size
    assert f'_8xb{videos // GPUS}-' in name
    assert optim.lr == pytest.approx(0.0125 * videos / 8)
    assert cfg.auto_scale_lr.base_batch_size == videos
    # One video of a process makes no statistics.
    assert cfg.sync_bn == (None if videos > GPUS else 'torch')
    lr = learning_rates(cfg, EPOCH)[:-1] / optim.lr
    warm = int(2.25 * EPOCH)
    cosine = [(1 + math.cos(math.pi * i / len(lr))) / 2
              for i in range(len(lr))]
    np.testing.assert_allclose(lr[warm:], cosine[warm:], atol=1e-6)
    assert lr[0] < 0.2 and (lr[:warm - 1] < cosine[:warm - 1]).all()


@pytest.mark.parametrize('name', STHV1)
def test_sthv1_schedule(name):
    cfg = CONFIGS[name]
    lr = learning_rates(cfg, EPOCH)[:-1].reshape(11, EPOCH)
    assert cfg.optim_wrapper.optimizer.lr == 0.03
    np.testing.assert_allclose(lr[1:7], 0.03, rtol=1e-6)
    np.testing.assert_allclose(lr[7:9], 0.003, rtol=1e-6)
    np.testing.assert_allclose(lr[9:], 0.0003, rtol=1e-6)
    assert GPUS * cfg.train_dataloader.batch_size == 16
    assert cfg.auto_scale_lr.base_batch_size == 16
    dataset = cfg.train_dataloader.dataset
    assert dataset.filename_tmpl.format(7) == '00007.jpg'
    assert cfg.model.cls_head.num_classes == 174


def test_inference_samples_clips_as_testing_does():
    """MMAction2's inference reads test_pipeline, not the data loader."""
    found = [x for x in CONFIGS.values() if 'roi_head' not in x.model]
    found += map(Config.fromfile, FOLDER.glob('*distant-pair*.py'))
    assert len(found) > 25
    for cfg in found:
        assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline


def weights_of(cfg):
    """Where the weights that a config starts from are."""
    return cfg.load_from or cfg.model.get('init_cfg', {}).get('checkpoint')


WEIGHTS = sorted(x for x, cfg in CONFIGS.items() if weights_of(cfg))


def test_which_configs_have_weights():
    # Of R(2+1)D-101 and of Kinetics-600 there are none.
    assert set(CONFIGS) - set(WEIGHTS) == {
        x for x in CONFIGS if 'jhmdb' in x or 'r101-memory_8x' in x
        or 'k600-pre' in x}


@pytest.mark.parametrize('name', WEIGHTS)
def test_published_weights_fit(name):
    cfg = CONFIGS[name]
    if 'roi_head' in cfg.model:
        pytest.importorskip('mmdet')
    *_, family, stock, file = weights_of(cfg).split('/')
    assert weights_of(cfg) in (STOCK / family / 'metafile.yml').read_text()
    stock = get_config(f'mmaction::recognition/{family}/{stock}.py').model
    stock.backbone.pretrained = None
    weights = build(stock).state_dict()
    other = cfg.model.get('cls_head', {}).get('num_classes') != 400
    if other:
        weights = {k: v for k, v in weights.items() if 'cls_head' not in k}
    # A tensor of another shape is an error.
    result = build(cfg.model).load_state_dict(weights, strict=False)
    assert not result.unexpected_keys
    new = ['neck.']
    if '-nl' in name:
        new.append('.non_local_block.')
    if other:
        new.append('roi_head.' if 'roi_head' in cfg.model else 'cls_head.')
    for part in new:
        found = [k for k in result.missing_keys if part in k]
        assert found or (part == 'neck.' and cfg.model.neck is None)
        result.missing_keys[:] = set(result.missing_keys) - set(found)
    assert not result.missing_keys


# The example on real clips, in small and on made-up ones.


def tools(name, *args):
    """Runs a tool of tools/data."""
    load_tool(f'tools/data/{name}.py').main([str(x) for x in args])


@pytest.fixture(scope='module')
def example(tmp_path_factory):
    """Folder of the example: clips of two classes, lists, index, weights."""
    folder = tmp_path_factory.mktemp('example')
    for label in range(2):
        for i in range(5):
            # The second is too short for 4 different clips.
            write_video(folder / f'data/jhmdb/class{label}/clip {i}.avi',
                        18 if i == 1 else 20 + i, codec='mpeg4',
                        first=30000 * label + 17 * i, b_frames=0)
    lists = folder / 'data/jhmdb_clips'
    tools('make_video_list', folder / 'data/jhmdb', '--out', lists,
          '--val-share', '0.4')
    tools('build_video_index', lists / 'train.txt', lists / 'val.txt',
          '--data-root', folder / 'data/jhmdb', '--out', lists / 'index.json',
          '--num-workers', '1')
    return folder


def test_lists_of_a_table_keep_groups_together(tmp_path):
    rows = [f'{c}/{g}_{i}.mp4,{c},name{c},{g}' for c in range(2)
            for g in 'abcd' for i in range(3)]
    (tmp_path / 'labels.csv').write_text(
        '\n'.join(['path,label,class,source_group', *rows]))
    tools('make_video_list', tmp_path / 'labels.csv', '--out', tmp_path)
    groups = [{line[2] for line in (tmp_path / f'{x}.txt').read_text().split(
        '\n') if line} for x in ('train', 'val')]
    assert groups[0] and groups[1] and not groups[0] & groups[1]
    assert (tmp_path / 'classes.txt').read_text() == 'name0\nname1\n'


def test_the_example_on_one_process_and_two(example, monkeypatch):
    monkeypatch.chdir(example)
    cfg = copy.deepcopy(CONFIGS['slowonly-tiny-memory_1xb8-8x2x1-n4_'
                                'jhmdb-rgb'])
    cfg.work_dir = 'run'
    cfg.experiment_name = str(example).replace('/', '_')
    cfg.train_dataloader.batch_size = 2
    for mode in ('train', 'val', 'test'):
        loader = cfg[f'{mode}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.ann_file = 'data/jhmdb_clips/train.txt'
    cfg.model.backbone.base_channels = 4
    cfg.model.neck.in_channels = cfg.model.cls_head.in_channels = 32
    cfg.train_cfg.max_epochs = 1
    runner = make_runner(cfg)
    runner.train()
    used = {x for step in runner.recorder.clips for x, _ in step}
    lines = (example / 'data/jhmdb_clips/train.txt').read_text().split('\n')
    every = {x[:-2] for x in lines if x}
    assert used <= every - {f'class{k}/clip 1.avi' for k in range(2)}
    assert len(used) == len(runner.recorder.losses) * 2
    one = runner.test()
    alone = runner.recorder.scores
    cfg.work_dir = 'two'
    metrics, dumped = on_two_processes(example, cfg, 'run/epoch_1.pth')
    assert metrics['acc/top1'] == one['acc/top1']
    assert len(dumped) == len(every) == 6
    for key, sample in dumped.items():
        torch.testing.assert_close(
            sample['pred_score'], alone[key], atol=1e-6, rtol=0)
    # Equal for a reason: scores tell videos apart.
    assert len({tuple(x['pred_score'].tolist()) for x in dumped.values()}) == 6
