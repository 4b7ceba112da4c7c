# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Copies of the complete configs, in an empty folder, on real videos."""
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from helpers.shell import Shell
from helpers.videos import need_shared_data
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.fileio import dump, load

from test_stock_tools import TOOLS  # isort: skip

VIDEOS = ('askanything_making_cake', 'lavila_ego4d_3c0dffd0_012_014',
          'mmaction2_demo_armwrestling', 'mmaction2_demo_stdet')
SECONDS = (10, 2, 10, 9.5)
# A model and frames for a test.
SMALL = {'model.backbone.arch': 'tiny', 'model.backbone.spatial_size': 64,
         'model.backbone.init_cfg': None}
LOADERS = ('val_dataloader.dataset', 'test_dataloader.dataset')
CROPS = {'train_dataloader.dataset.pipeline.1.scale': '(-1,72)',
         'train_dataloader.dataset.pipeline.2.transforms.1.scale': '(64,64)',
         **{f'{x}.pipeline.1.scale': '(-1,64)' for x in LOADERS},
         **{f'{x}.pipeline.2.crop_size': 64 for x in LOADERS}}
COLLABORATIVE = {'load_from': None, 'model.backbone.depth': 18,
                 'model.backbone.base_channels': 8,
                 'model.neck.in_channels': 64,
                 'model.cls_head.in_channels': 64,
                 'train_dataloader.dataset.pipeline.3.scale': '(-1,72)',
                 'train_dataloader.dataset.pipeline.5.scale': '(64,64)',
                 **{f'{x}.pipeline.1.num_clips': 2 for x in LOADERS},
                 **{f'{x}.pipeline.3.scale': '(-1,64)' for x in LOADERS},
                 **{f'{x}.pipeline.4.crop_size': 64 for x in LOADERS}}
OPTIONS = {
    'recognition': dict(SMALL, **CROPS, **{'model.cls_head.in_channels': 256}),
    'anticipation': dict(
        SMALL, **CROPS, **{'model.cls_head.head.in_channels': 256}),
    'detection': dict(SMALL, **{
        'model.roi_head.box_block.dims': 256,
        'model.roi_head.bbox_head.in_channels': 256,
        'train_dataloader.dataset.pipeline.2.transforms.0.scale_range':
        '(72,80)',
        'train_dataloader.dataset.pipeline.2.transforms.1.size': 64,
        **{f'{x}.pipeline.2.scale': '(-1,64)' for x in LOADERS}}),
    'collaborative': COLLABORATIVE,
}
METRICS = {'recognition': 'acc/top1', 'detection': 'mAP/overall',
           'anticipation': 'epic/verb_recall5', 'collaborative': 'acc/top1'}


def write_labels(folder):
    """Lists, tables and boxes of three classes, as the three configs ask."""
    header = ('narration_id,video_id,start_timestamp,stop_timestamp,'
              'verb_class,noun_class')
    # The two shortest are enough to see that evaluation works.
    for split, seconds in (('train', SECONDS), ('val', (0, 2, 0, 9.5))):
        lines, rows, boxes, persons = [], [header], [], {}
        for i, name in enumerate(VIDEOS):
            for k in range(int(seconds[i] / 2)):
                label = (i + k) % 3
                lines.append(f'{name}.mp4 {2 * k} {2 * k + 2} {label}')
                rows.append(f'{name}_{k},{name},00:00:{2 * k:02}.00,'
                            f'00:00:{2 * k + 2:02}.00,{label},0')
                boxes.append(f'{name},{2 * k},0.2,0.1,0.7,0.9,{label + 1},0')
                persons[f'{name},{2 * k:04}'] = np.array(
                    [[.2, .1, .7, .9, 1.]])
        for name, text in ((f'{split}.txt', lines), (f'{split}.csv', boxes),
                           (f'{split}_segments.csv', rows)):
            (folder / name).write_text('\n'.join(text) + '\n')
        (folder / f'{split}_videos.txt').write_text(''.join(
            f'{name}.mp4 {i % 3}\n' for i, name in enumerate(VIDEOS)
            if seconds[i]))
        dump(persons, folder / f'proposals_{split}.pkl')
    (folder / 'label_map.pbtxt').write_text(''.join(
        f'item {{\n  name: "{name}"\n  id: {i}\n}}\n'
        for i, name in enumerate('abc', 1)))


# Videos with one label; two of them have 3 clips of 64 frames.
SHORT = {'batch_size': 2, 'num_clips': 3,
         'ann_file_train': "'data/custom/train_videos.txt'",
         'ann_file_val': "'data/custom/val_videos.txt'"}


@pytest.fixture(scope='module')
def shell(tmp_path_factory):
    """A folder with data alone, and its shell."""
    videos = need_shared_data('videos')
    folder = tmp_path_factory.mktemp('empty')
    (folder / 'data/custom/videos').mkdir(parents=True)
    for name in VIDEOS:
        shutil.copy(videos / f'{name}.mp4', folder / 'data/custom/videos')
    write_labels(folder / 'data/custom')
    with tempfile.TemporaryDirectory() as bin:
        shell = Shell(folder, Path(bin))
        shell('python -m mmaction_memvit build_video_index --data-root '
              'data/custom/videos --out data/custom/index.json')
        yield shell


def configure(shell, case):
    """Copies a config and edits it as a user would."""
    path = shell.folder / f'my_{case}.py'
    shell(f'python -m mmaction_memvit copy {case} {path.name}')
    text = path.read_text()
    marks = [m.start() for m in re.finditer('^# -{70,}$', text, re.M)]
    assert len(marks) == 2
    edited = text[marks[0]:marks[1]]
    changes = dict(num_classes=4 if case == 'detection' else 3, batch_size=3,
                   num_workers=0, max_epochs=2)
    if case == 'collaborative':
        changes.update(SHORT)
    for name, value in changes.items():
        edited, count = re.subn(f'^{name} = .*$', f'{name} = {value}', edited,
                                flags=re.M)
        assert count == 1
    path.write_text(text[:marks[0]] + edited + text[marks[1]:])
    return path.name


def stock(shell, tool, *arguments):
    """Runs a tool of MMAction2, beside this package."""
    return shell(shlex.join(['python', str(TOOLS / tool), *arguments]))


def ours(shell, tool, *arguments):
    """Runs a tool of ours."""
    return shell(shlex.join(
        ['python', '-m', 'mmaction_memvit', tool[:-3], *arguments]))


@pytest.mark.parametrize('case, tools', [
    ('recognition', (stock, ours, stock, ours)),
    ('detection', (ours, stock, ours)),
    ('anticipation', (ours, stock, ours)),
    ('collaborative', (ours, stock, ours)),
])
def test_trains_resumes_and_tests(shell, case, tools):
    """With MMAction2's tools and with ours, each going on for the other."""
    if case == 'detection':
        pytest.importorskip('mmdet')
    config = configure(shell, case)
    options = ['--cfg-options',
               *(f'{k}={v}' for k, v in OPTIONS[case].items())]
    train, resume, *tests = tools
    logs = [train(shell, 'train.py', config, *options,
                  'train_cfg.max_epochs=1'),
            resume(shell, 'train.py', config, '--resume', *options)]
    assert 'resumed epoch: 1' in logs[1]
    metric = METRICS[case]
    for epoch, log in enumerate(logs, 1):
        losses = re.findall(rf'Epoch\(train\)\s+\[{epoch}\].* loss: ([\d.]+)',
                            log)
        assert losses and all(0 < float(x) < 100 for x in losses)
        assert re.search(rf'Epoch\(val\)\s+\[{epoch}\].*{metric}: ', log)
        # Nothing to worry a newcomer.
        assert 'pin_memory' not in log
    values = [
        re.findall(rf'{metric}: ([\d.]+)', log)[-1] for log in (
            test(shell, 'test.py', config, f'work_dirs/{config[:-3]}/'
                 'epoch_2.pth', *options) for test in tests)]
    assert len(set(values)) == 1


def test_starts_from_weights_that_mmaction2_publishes(tmp_path):
    index = load(Path(mmaction.__file__).parent /
                 '.mim/configs/recognition/mvit/metafile.yml')
    urls = {x['Weights'] for x in index['Models'] if 'Weights' in x}
    folder = Path(__file__).resolve().parents[1] / 'configs'
    for case in ('recognition', 'detection', 'anticipation'):
        path, = folder.glob(f'{case}/memvit/*_custom*.py')
        config = Config.fromfile(str(path))
        weights = config.model.backbone.init_cfg
        assert weights.checkpoint in urls
        assert config.train_dataloader.dataset.index_file == (
            'data/custom/index.json')
    # As MMAction2 writes them.
    published = MODELS.build(dict(type='mmaction.MViT', arch='small'))
    state = {f'backbone.{k}': v for k, v in published.state_dict().items()}
    weights.checkpoint = str(tmp_path / 'mvit.pth')
    torch.save(dict(state_dict=state), weights.checkpoint)
    backbone = MODELS.build(
        dict(config.model.backbone, type='mmaction.MeMViT'))
    backbone.init_weights()
    own = backbone.state_dict()
    same = [k for k, v in own.items()
            if torch.equal(v, state.get(f'backbone.{k}', torch.empty(0)))]
    # Three in four: what pools and what remembers starts anew.
    assert len(same) > 150
