# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features of videos, and scores from features in place of videos."""
import copy
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import MEMVIT, SLOWONLY
from helpers.runs import (
    META_KEYS,
    STRONG,
    config,
    loader,
    make_runner,
    run_by_two,
    write_videos,
)
from helpers.tools import load_tool, tool_fixture
from helpers.videos import truncate, write_video
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaction_memvit.video.find import name_videos
from mmaction_memvit.video.index import update_index

tool = tool_fixture('tools/extract_features.py')
#: A stock backbone under a head that pools.
STATELESS = dict(
    type='OnlineRecognizer3D', backbone=SLOWONLY,
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[127.] * 3,
                           std=[64.] * 3, format_shape='NCTHW'),
    cls_head=dict(type='I3DHead', in_channels=32, num_classes=3,
                  dropout_ratio=0., average_clips='prob'))
#: The same with a backbone that remembers.
MEMORY = dict(
    STATELESS, backbone=dict(MEMVIT, init_cfg=STRONG, output_cls_token=False),
    cls_head=dict(type='MViTHead', in_channels=32, num_classes=3,
                  dropout_ratio=0., with_cls_token=False,
                  average_clips='prob'))


def write_config(folder: Path, model: dict, name: str) -> Config:
    cfg = config(folder / 'run', test=loader(
        folder / 'videos', train=False, short_video='pad'))
    cfg.model = copy.deepcopy(model)
    cfg.dump(str(folder / f'{name}.py'))
    torch.manual_seed(0)
    init_default_scope('mmaction')
    built = MODELS.build(model)
    built.init_weights()
    torch.save(dict(state_dict=built.state_dict()), folder / f'{name}.pth')
    return cfg


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('features')
    write_videos(folder / 'videos')
    write_config(folder, STATELESS, 'stateless')
    write_config(folder, MEMORY, 'memory')
    return folder


def call(tool, folder, name, out, *args):
    """Runs the tool; gives its exit code."""
    argv, threads = sys.argv, torch.get_num_threads()
    sys.argv = ['tool', str(folder / f'{name}.py'), str(folder / f'{name}.pth'
                ), '--out-dir', str(out), '--workers', '0', *args]
    torch.set_num_threads(1)
    try:
        tool.main()
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = argv
        torch.set_num_threads(threads)


def files_of(out) -> dict:
    return {str(p.relative_to(out)): p.read_bytes()
            for p in sorted(Path(out).rglob('*.npz'))}


@pytest.fixture(scope='module')
def whole(folder):
    """What nobody interrupts."""
    tool = load_tool('tools/extract_features.py')
    found = {}
    for name in ('stateless', 'memory'):
        out = folder / f'whole_{name}'
        assert call(tool, folder, name, out, '--batch-size', '2') == 0
        found[name] = files_of(out)
        assert list(found[name]) == [f'v{i}.npz' for i in range(5)]
    return found


def scores(cfg: Config, checkpoint=None, **cfg_options) -> dict:
    cfg.merge_from_dict(cfg_options)
    runner = make_runner(cfg)
    if checkpoint is not None:
        runner.load_checkpoint(str(checkpoint))
    runner.test()
    return runner.recorder.scores


def with_head(folder, name):
    """Weights with a head whose scores differ from clip to clip."""
    features = torch.from_numpy(np.concatenate([
        np.load(x)['features']
        for x in sorted((folder / f'whole_{name}').glob('*.npz'))])).float()
    weights = torch.load(folder / f'{name}.pth')['state_dict']
    centred = features - features.mean(0)
    # That in which they differ most.
    direction = torch.linalg.svd(centred).Vh[0]
    weights['cls_head.fc_cls.weight'] = torch.outer(
        torch.tensor([1., 0., -1.]), direction / (centred @ direction).std())
    weights['cls_head.fc_cls.bias'] = (
        -weights['cls_head.fc_cls.weight'] @ features.mean(0))
    return weights


@pytest.mark.parametrize('name', ['stateless', 'memory'])
def test_scores_are_those_of_videos(folder, whole, name):
    cfg = Config.fromfile(str(folder / f'{name}.py'))
    weights = folder / f'{name}_with_head.pth'
    torch.save(with_head(folder, name), weights)
    expected = scores(cfg, weights)
    # More than one answer, by far.
    assert torch.stack(list(expected.values())).std(0).max() > 0.05
    dataset = dict(
        cfg.test_dataloader.dataset,
        data_prefix=dict(feature=str(folder / f'whole_{name}')),
        pipeline=[dict(type='LoadFeatureClip'),
                  dict(type='PackActionInputs', meta_keys=META_KEYS)])
    cfg.test_dataloader.dataset = dataset
    cfg.model.backbone = dict(type='FeatureBackbone')
    cfg.model.data_preprocessor = dict(type='ActionDataPreprocessor')
    cfg.model.cls_head = STATELESS['cls_head']
    found = scores(cfg, weights)
    assert list(found) == list(expected)
    for key, score in expected.items():
        torch.testing.assert_close(found[key], score, atol=1e-3, rtol=0)


def test_files_tell_their_clips(folder, whole):
    with np.load(folder / 'whole_stateless/v1.npz') as file:
        assert file['features'].shape == (5, 32)
        assert file['features'].dtype == np.float16
        np.testing.assert_allclose(file['times'], np.arange(5) * 4 / 30)
        assert file['fps'] == pytest.approx(7.5)
        assert (file['clip_len'], file['frame_interval']) == (4, 1)


def test_clips_of_another_grid_are_an_error(folder, whole):
    cfg = Config.fromfile(str(folder / 'stateless.py'))
    dataset = dict(cfg.test_dataloader.dataset, data_prefix=dict(
        feature=str(folder / 'whole_stateless')), pipeline=[])
    for change, told in [(dict(clip_len=8), 'clip_len'),
                         (dict(clip_stride=3), 'clip_stride')]:
        with pytest.raises(ValueError, match=told):
            DATASETS.build({**dataset, **change})


def test_several_vectors_a_clip(tool, folder, tmp_path):
    assert call(tool, folder, 'stateless', tmp_path, '--per-frame') == 0
    with np.load(tmp_path / 'v0.npz') as file, np.load(
            folder / 'whole_stateless/v0.npz') as pooled:
        assert file['features'].shape == (6, 4, 32)
        np.testing.assert_allclose(file['features'].mean(1),
                                   pooled['features'], rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize('name, options, truth', [
    ('stateless', [], None), ('memory', ['--per-frame'], True),
    ('memory', ['--per-frame', '--cfg-options',
                'model.backbone.causal=True'], False)])
def test_whether_vectors_look_ahead(tool, folder, tmp_path, name, options,
                                    truth):
    for _ in range(2):
        assert call(tool, folder, name, tmp_path, *options) == 0
        told = json.loads((tmp_path / 'extraction.json').read_text())
        assert told['looks_ahead'] is truth


@pytest.mark.parametrize('name', ['stateless', 'memory'])
def test_a_kill_leaves_no_trace(folder, whole, tmp_path, name):
    """SIGKILL as soon as there is a file, and while the next is made."""
    out = tmp_path / 'out'
    for moment in range(2):
        child = os.fork()
        if not child:
            try:
                tool = load_tool('tools/extract_features.py')
                call(tool, folder, name, out, '--batch-size', '2')
            finally:
                os._exit(0)
        while len(files_of(out)) < 1 + 2 * moment:
            if os.waitpid(child, os.WNOHANG)[0]:
                child = None
                break
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    # Of a process that was killed while it wrote.
    (out / 'v4.npz.123.part').write_bytes(b'half')
    tool = load_tool('tools/extract_features.py')
    assert call(tool, folder, name, out, '--batch-size', '2') == 0
    assert files_of(out) == whole[name]
    assert not list(out.glob('*.part'))


def test_other_models_do_not_mix(tool, folder, whole, tmp_path):
    shutil.copytree(folder / 'whole_stateless', tmp_path / 'out')
    for args in (['memory'], ['stateless', '--per-frame']):
        name, *more = args
        told = call(tool, folder, name, tmp_path / 'out', *more,
                    '--batch-size', '2')
        assert 'another' in told
    told = call(tool, folder, 'memory', tmp_path / 'out', '--batch-size', '0')
    assert 'batch_size=0' in told


def test_own_videos_and_broken_ones(tool, folder, whole, tmp_path, capsys):
    """One's own folder; a broken video is told, and the others go on."""
    videos = tmp_path / 'videos'
    shutil.copytree(folder / 'videos', videos / 'deep')
    truncate(videos / 'deep/v0.mp4', videos / 'cut.mp4', 0.3)
    out = tmp_path / 'out'
    args = ['--videos', str(videos), '--batch-size', '2']
    assert call(tool, folder, 'stateless', out, *args) == 1
    said = capsys.readouterr().out
    assert 'failed.csv' in said
    assert pd.read_csv(out / 'failed.csv').video.tolist() == ['cut.mp4']
    assert sorted(files_of(out)) == [f'deep/v{i}.npz' for i in range(5)]
    for name, data in files_of(out).items():
        with np.load(out / name) as file, np.load(
                folder / f'whole_stateless/{name[5:]}') as other:
            for key in ('features', 'times', 'fps', 'video'):
                np.testing.assert_array_equal(file[key], other[key])
        assert data
    # A new one, whose frames are shown for longer and longer.
    uneven = [i * (i + 2) for i in range(18)]
    write_video(videos / 'v5.mp4', 18, first=3000, times=uneven)
    assert call(tool, folder, 'stateless', out, *args) == 1
    (tmp_path / 'list.txt').write_text('v5.mp4 1\n')
    prefixes = [dict(video=str(videos)), dict(feature=str(out))]
    at_video, at_features = [[
        {k: dataset.get_data_info(i)[k] for k in ('start_seconds', 'fps')}
        for i in range(len(dataset))] for dataset in (DATASETS.build(dict(
            Config.fromfile(str(folder / 'stateless.py')
                            ).test_dataloader.dataset, data_prefix=x,
            ann_file=str(tmp_path / 'list.txt'))) for x in prefixes)]
    assert at_features == at_video
    assert at_video[1]['start_seconds'] == pytest.approx(24 / 30)


def test_videos_that_break_on_the_way(tool, folder, tmp_path, capsys):
    root = tmp_path / 'root'
    shutil.copytree(folder, root)
    cfg = Config.fromfile(str(root / 'stateless.py'))
    dataset = cfg.test_dataloader.dataset
    dataset.ann_file = str(root / 'videos/videos.txt')
    dataset.data_prefix = dict(video=str(root / 'videos'))
    dataset.index_file = str(root / 'index.json')
    dataset.missing_video = 'unchecked'
    cfg.dump(str(root / 'stateless.py'))
    update_index({}, name_videos([str(root / 'videos')]),
                 str(root / 'index.json'))
    (root / 'videos/v1.mp4').unlink()
    assert call(tool, root, 'stateless', root / 'out') == 1
    assert 'v1.mp4' in capsys.readouterr().out
    assert list(files_of(root / 'out')) == [f'v{i}.npz' for i in (0, 2, 3, 4)]


def test_stock_configs(tool, folder, tmp_path):
    """MMAction2's data set of whole videos gives clips one by one."""
    cfg = Config.fromfile(str(folder / 'stateless.py'))
    cfg.model.type = 'Recognizer3D'
    cfg.test_dataloader = dict(
        batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler'),
        dataset=dict(
            type='VideoDataset', ann_file=str(folder / 'videos/videos.txt'),
            data_prefix=dict(video=str(folder / 'videos')), test_mode=True,
            pipeline=[
                dict(type='DecordInit'),
                dict(type='SampleFrames', clip_len=2, frame_interval=2,
                     num_clips=10, test_mode=True),
                dict(type='DecordDecode'),
                dict(type='Resize', scale=(-1, 32)),
                dict(type='ThreeCrop', crop_size=32),
                dict(type='FormatShape', input_format='NCTHW'),
                dict(type='PackActionInputs')]))
    cfg.dump(str(tmp_path / 'stateless.py'))
    shutil.copy(folder / 'stateless.pth', tmp_path)
    assert call(tool, tmp_path, 'stateless', tmp_path / 'own') == 0
    assert call(tool, tmp_path, 'stateless', tmp_path / 'out', '--clip-len',
                '4', '--frame-interval', '1', '--batch-size', '2') == 0
    with np.load(tmp_path / 'own/v0.npz') as file:
        assert (file['clip_len'], file['frame_interval']) == (2, 2)
    with np.load(tmp_path / 'out/v0.npz') as file, np.load(
            folder / 'whole_stateless/v0.npz') as other:
        # Three crops of a square are the same one.
        np.testing.assert_allclose(file['features'], other['features'],
                                   rtol=2e-2, atol=5e-3)
        np.testing.assert_array_equal(file['times'], other['times'])


def test_two_processes(folder, whole):
    """Two processes of a launcher give the files of one."""
    said = run_by_two('tools/extract_features.py', folder, 'stateless.py',
                      'stateless.pth', '--out-dir', 'two', '--batch-size',
                      '2', '--workers', '1')
    assert files_of(folder / 'two') == whole['stateless']
    assert 'process 2 of 2' in said
