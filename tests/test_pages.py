# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What README and docs say to type runs as it stands, or says what it needs.

A block that no test can run follows a line ``<!-- needs ... -->``; its
commands are read all the same, by the tools that they name.
"""
import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import List, NamedTuple, Optional

import numpy as np
import pytest
import torch
from helpers.shell import Shell
from helpers.videos import write_video
from mmaction.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).resolve().parents[1]
PAGES = {p.name: p for p in (ROOT / 'README.md', *ROOT.glob('docs/*.md'))}
# README.md of folders of configs, by their paths.
PAGES.update({p.relative_to(ROOT).as_posix(): p
              for p in ROOT.glob('configs/*/*/README.md')})
# Tests of their own: test_docs.py, test_another_memory.py.
ELSEWHERE = {'add_a_backbone_that_remembers.md', 'add_a_data_set.md',
             'add_a_metric.md', 'any_backbone_remembers.md', 'live_video.md'}
# Blocks of Python, each of which a test here or in test_stock_tools.py runs.
PYTHON = {'README.md': 4, 'own_videos.md': 2, 'memvit.md': 1,
          'avt.md': 1, 'collaborative.md': 1, 'features.md': 2,
          'model_zoo.md': 2}
BLOCK = re.compile(
    r'(?:<!-- needs (?P<needs>.*?) -->\n *)?```(?P<language>\w+)\n'
    r'(?P<text>.*?)^ *```$', re.S | re.M)


class Block(NamedTuple):
    """What stands between two fences."""
    language: str
    text: str
    needs: Optional[str]


def blocks(page: str, *languages: str) -> List[Block]:
    """The blocks of a page, in order."""
    found = [Block(m['language'], m['text'], m['needs'])
             for m in BLOCK.finditer(PAGES[page].read_text())]
    return [x for x in found if x.language in languages]


def commands(page: str, with_needs: bool) -> str:
    """What a page says to type."""
    return '\n'.join(x.text for x in blocks(page, 'bash', 'shell')
                     if with_needs or not x.needs)


@pytest.fixture
def make_shell(tmp_path):
    """Makes the shell of an empty folder beside the tools of a clone."""
    for name in ('tools', 'configs', 'examples', 'boards'):
        (tmp_path / name).symlink_to(ROOT / name)
    with tempfile.TemporaryDirectory() as bin:
        yield lambda before: Shell(tmp_path, Path(bin), before)


# Every command is understood by the tool it names.


def only_read(arguments):
    """Ends a tool when it has read its command line."""
    for path in arguments:
        assert not path.startswith('configs/') or os.path.exists(path), path
    read = argparse.ArgumentParser.parse_args

    def parse_args(*args, **kwargs):
        read(*args, **kwargs)
        raise SystemExit(0)

    argparse.ArgumentParser.parse_args = parse_args
    if arguments == ['-']:
        raise SystemExit(0)


STAND_INS = {
    'pip': 'exit 0',
    'torchrun': 'shift 2; exec python "$@"',
    'make': f'exec {shutil.which("make")} -n -C {ROOT} "$@"',
    'bash': """script=$1; config=$2; shift 3
case $script in
tools/dist_train.sh) exec python tools/train.py $config "$@";;
tools/dist_test.sh) exec python tools/test.py $config "$@";;
*) exit 9;;
esac""",
}


@pytest.mark.parametrize('page', PAGES)
def test_tools_understand_the_commands(page, make_shell):
    shell = make_shell(only_read)
    bin = Path(shell.env['PATH'].split(':')[0])
    for name, text in STAND_INS.items():
        (bin / name).write_text(f'#!/bin/sh\n{text}\n')
        (bin / name).chmod(0o755)
    shell(commands(page, with_needs=True))


# What needs nothing runs, on small videos and with small models.

LOADERS = """
for loader in (train_dataloader, val_dataloader):
    loader.update(num_workers=0, persistent_workers=False)
del loader
model['backbone'].update(
    arch=dict(embed_dims=16, num_layers=4, num_heads=1,
              downscale_indices=[1, 2, 3]), spatial_size=32, init_cfg=None)
train_cfg['val_interval'] = default_hooks['checkpoint']['interval'] = 10
"""
SMALL = {
    'my_config.py':
    LOADERS + """
model['cls_head'].update(in_channels=128)
train_pipeline[1]['scale'] = (-1, 36)
train_pipeline[2]['transforms'][1]['scale'] = (32, 32)
val_pipeline[1]['scale'] = (-1, 32)
val_pipeline[2]['crop_size'] = 32
""",
    'my_detector.py':
    LOADERS + """
train_cfg.update(max_epochs=1, val_interval=1)
model['roi_head']['box_block']['dims'] = 128
model['roi_head']['bbox_head']['in_channels'] = 128
train_pipeline[2]['transforms'][0]['scale_range'] = (36, 40)
train_pipeline[2]['transforms'][1]['size'] = 32
val_pipeline[2]['scale'] = (-1, 32)
"""
}


def shrink(arguments):
    """Makes a copied config small, as soon as it is used."""
    for name, text in SMALL.items():
        path = Path(name)
        if path.exists() and text not in path.read_text():
            path.write_text(path.read_text() + text)


@pytest.fixture
def shell(make_shell):
    """A shell in a folder with videos, lists and a table of boxes."""
    shell = make_shell(shrink)
    data = shell.folder / 'data/custom'
    lines, boxes = [], ['video,time,x1,y1,x2,y2,label,split']
    for i in range(5):
        name = f'match_{i}.mp4'
        write_video(data / 'videos' / name, 140, first=1000 * i)
        for k in range(4):
            lines.append(f'{name} {k} {k + 1} {(i + k) % 3}\n')
            boxes.append(f'{name},{k},0.1,0.2,0.6,0.9,{"abc"[(i + k) % 3]},'
                         f'{"train" if i < 4 else "val"}')
    for split, its in (('train', lines[:-4]), ('val', lines[-4:])):
        (data / f'{split}.txt').write_text(''.join(its))
    (shell.folder / 'boxes.csv').write_text('\n'.join(boxes) + '\n')
    for name in ('match.mp4', 'match_03.mp4'):
        shutil.copy(data / 'videos/match_0.mp4', shell.folder / name)
    return shell


def run(shell, page):
    """Runs what a page says to type and needs nothing."""
    return shell(commands(page, with_needs=False))


def watch(shell, page, monkeypatch, capsys):
    """Runs the lines for streams on a page."""
    monkeypatch.chdir(shell.folder)
    code, = (x.text for x in blocks(page, 'python') if 'camera' in x.text)
    frames = np.zeros((70, 32, 48, 3), np.uint8)
    exec(code, dict(camera=[frames[:50], frames[50:]]))
    lines = [x for x in capsys.readouterr().out.splitlines()
             if re.fullmatch(r'([\d.]+ s  class )?\d+', x)]
    # 140 frames are 3 clips of 64, and 70 complete one.
    assert [x.startswith(f'{y:.1f} s  class ') for x, y in zip(
        lines, (0, 64 / 30, 128 / 30))] == [True] * 3
    assert len(lines) == 4 and lines[3].isdigit()


def test_readme(shell, monkeypatch, capsys):
    pytest.importorskip('mmdet')
    said = run(shell, 'README.md')
    assert len(re.findall(r'Epoch\(val\) \[10\].*acc/top1', said)) == 1
    assert len(re.findall(r'Epoch\(test\).*acc/top1', said)) == 1
    assert len(re.findall(r'Epoch\(val\) \[1\].*mAP/overall', said)) == 1
    # What another page says of boxes takes the set that was made here.
    (shell.folder / 'my_detector.py').unlink()
    assert 'mAP/overall' in run(shell, 'own_data_ava.md')
    watch(shell, 'README.md', monkeypatch, capsys)
    # The first screen, and shorter than what it replaced.
    assert len(PAGES['README.md'].read_text()) < 8000


def test_own_videos(shell, monkeypatch, capsys):
    said = run(shell, 'own_videos.md')
    assert len(re.findall(r'Epoch\(val\) \[10\].*acc/top1', said)) == 1
    watch(shell, 'own_videos.md', monkeypatch, capsys)


@pytest.mark.parametrize('page', sorted(
    {*PAGES} - ELSEWHERE - {'README.md', 'own_videos.md', 'own_data_ava.md'}))
def test_other_pages(make_shell, page):
    shell = make_shell(shrink)
    run(shell, page)


def test_no_python_is_left_out():
    found = {page: sum(not x.needs for x in blocks(page, 'python'))
             for page in {*PAGES} - ELSEWHERE}
    assert {k: v for k, v in found.items() if v} == PYTHON


def test_configs_by_name(tmp_path):
    by_name, as_base = (x.text for x in blocks('model_zoo.md', 'python'))
    found = {}
    exec(by_name, found)
    assert len(found['names']) >= 55
    (tmp_path / 'mine.py').write_text(as_base)
    base = Config.fromfile(str(tmp_path / 'mine.py'))
    for config in (base, found['config']):
        assert config.model.backbone.mem_len == 8


def test_a_collaborative_memory_by_type_and_neck():
    init_default_scope('mmaction')
    for page in ('README.md', 'collaborative.md'):
        text, = (x.text for x in blocks(page, 'python')
                 if 'CollaborativeMemory' in x.text)
        base = "_base_ = ['mmaction::_base_/models/slowonly_r50.py']\n"
        model = Config.fromstring(base + text, '.py').model
        model.backbone.update(pretrained=None, depth=50)
        with torch.device('meta'):
            assert MODELS.build(model).with_neck


def test_anticipation_over_features_of_any_backbone():
    init_default_scope('mmaction')
    text, = (x.text for x in blocks('avt.md', 'python'))
    base = "_base_ = ['mmaction::_base_/models/mvit_small.py']\n"
    with torch.device('meta'):
        model = MODELS.build(Config.fromstring(base + text, '.py').model)
        clips = torch.empty(2, 3, 16, 224, 224)
        memory = model.init_memory(2)
        scores, memory = model.eval().step(clips, memory)
    assert scores.shape == (2, 8, 3806) and memory[2].feats.shape[1] == 9


def test_features(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmaction')
    in_place, own = (x.text for x in blocks('features.md', 'python'))
    base, = (ROOT / 'configs/recognition/memvit').glob('*_custom-rgb.py')
    shutil.copy(base, 'my_config.py')
    Path('mine.py').write_text(in_place)
    cfg = Config.fromfile('mine.py')
    # Of one clip of 16 x 4 frames, and of half a one.
    Path('features').mkdir()
    np.savez('features/a.npz', features=np.ones((2, 768), np.float16),
             times=[0., 64 / 30], clip_len=16, frame_interval=4,
             video='{"num_frames": 96, "fps": 30.0}')
    Path('list.txt').write_text('a.mp4 0 2 3\n')
    dataset = DATASETS.build(dict(
        cfg.val_dataloader.dataset, ann_file='list.txt', index_file=None))
    model = MODELS.build(cfg.model).eval()
    batch = {k: [dataset[0][k], dataset[1][k]] for k in dataset[0]}
    found = model.val_step(batch)
    assert [x.gt_label.item() for x in found] == [3, -1]
    assert [len(x.pred_score) for x in found] == [10, 10]
    Path('list.txt').write_text('a\n')
    for name, size in (('rgb', 5), ('flow', 2), ('target_perframe', 3)):
        Path(name).mkdir()
        np.save(f'{name}/a.npy', np.ones((40, size)))
    dataset = DATASETS.build(Config.fromstring(own, '.py').dataset)
    assert dataset[0]['inputs'].shape == (1, 7, 32, 1, 1)
    assert dataset[1]['data_samples'].gt_label.sum() == 8 * 3


def test_what_changes_for_a_memory():
    init_default_scope('mmaction')
    text, = (x.text for x in blocks('memvit.md', 'python'))
    stock, = (x.text for x in blocks('README.md', 'python')
              if 'RandAugment' in x.text)
    cfg = Config.fromstring(stock, '.py')
    cfg.merge_from_dict(Config.fromstring(text, '.py').to_dict())
    cfg.model.data_preprocessor.pop('blending')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.with_memory and model.backbone.mem_len == 2
    loader = cfg.train_dataloader
    assert DATASETS.get(loader.dataset.type)
    assert DATA_SAMPLERS.get(loader.batch_sampler.type)
    assert METRICS.get(cfg.val_evaluator.type)
    assert HOOKS.get(cfg.custom_hooks[0].type)
