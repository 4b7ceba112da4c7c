# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""MMAction2's own tools, with a config and a folder of the user's."""
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import mmaction
import mmcv
import numpy as np
import pytest
import torch
from helpers.shell import Shell
from helpers.videos import write_video
from mmengine.fileio import dump, load
from mmengine.utils import digit_version

import mmaction_memvit
from mmaction_memvit.compat.versions import FIRST_REFUSED_MMCV

TOOLS = Path(mmaction.__file__).parent / '.mim/tools'
if digit_version(mmcv.__version__) >= digit_version(FIRST_REFUSED_MMCV):
    # MMAction2's tools import it before the config, and it refuses this MMCV.
    # Ours have the same options.
    TOOLS = Path(mmaction_memvit.__file__).parent / '.mim/tools'
STOCK = ('mmaction::recognition/mvit/'
         'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py')

# All that a user changes: what the README shows.
REMEMBERING, = (
    x for x in re.findall(
        r'```python\n(.*?)```',
        (Path(__file__).resolve().parents[1] / 'README.md').read_text(), re.S)
    if STOCK.rsplit('/')[-1] in x)

# The user's videos, and a model and images that are small enough for a test.
SMALL = """
_base_ = './remembering.py'
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=16,
            num_layers=4,
            num_heads=1,
            downscale_indices=[1, 2, 3]),
        spatial_size=32),
    cls_head=dict(in_channels=128))
sizes = {(-1, 256): (-1, 36), (-1, 224): (-1, 36), (224, 224): (32, 32)}
train_pipeline, val_pipeline, test_pipeline = (
    [dict(x, scale=sizes[tuple(x['scale'])]) if 'scale' in x else
     dict(x, crop_size=32) if 'crop_size' in x else x for x in pipeline]
    for pipeline in (_base_.train_pipeline, _base_.val_pipeline,
                     _base_.test_pipeline))
data = dict(ann_file='data/list.txt', data_prefix=dict(video='data/videos'))
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(pipeline=val_pipeline, **data))
test_dataloader = dict(
    num_workers=1, dataset=dict(pipeline=test_pipeline, **data))
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
"""


@pytest.fixture
def stock(tmp_path_factory):
    """Runs a tool of MMAction2 beside this package, in a fork."""

    def run(folder, tool, *arguments, before=''):
        shell = Shell(folder, tmp_path_factory.mktemp('b'))
        return shell(before + shlex.join(
            ['python', str(TOOLS / tool), *arguments]))

    return run


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: videos, a list of them, and two configs."""
    folder = tmp_path_factory.mktemp('somewhere')
    for i in range(6):
        write_video(
            folder / f'data/videos/v{i}.mp4', 40 + 9 * i, first=1000 * i)
    (folder / 'data/list.txt').write_text(''.join(
        f'v{i}.mp4 {i}\n' for i in range(6)))
    (folder / 'configs').mkdir()
    (folder / 'configs/remembering.py').write_text(REMEMBERING)
    (folder / 'configs/small.py').write_text(SMALL)
    return folder


def fresh(folder, tool, *arguments):
    """Runs a tool of MMAction2, which has not imported this package."""
    # No PYTHONPATH: the package is found as any that is installed.
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, str(TOOLS / tool), *arguments], cwd=str(folder),
        env=dict(env, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_a_memory_that_is_dropped_stops_the_stock_tool(folder, stock):
    (folder / 'configs/wrong.py').write_text(
        "_base_ = './small.py'\n" "model = dict(backbone=dict(mem_len=2))\n")
    output = stock(folder, 'train.py', 'configs/wrong.py', before='! ')
    assert "model.type='OnlineRecognizer3D'" in output
    assert not list(folder.glob('work_dirs/wrong/**/*.pth'))


def trained(text):
    """Epochs and steps of which a log tells the loss."""
    found = re.findall(
        r'Epoch\(train\)\s+\[(\d+)\]\[(\d+)/\d+\].* loss: ([\d.]+)', text)
    assert all(0 < float(loss) < 100 for *_, loss in found)
    return [(int(epoch), int(step)) for epoch, step, _ in found]


def test_train_validate_resume_and_test(folder, stock):
    pytest.importorskip('decord')
    epochs = 'train_cfg.max_epochs'
    config = 'configs/small.py'
    first = stock(folder, 'train.py', config, '--cfg-options', f'{epochs}=1')
    # 6 videos twice (repeated augmentation) in batches of 4 videos.
    assert trained(first) == [(1, 1), (1, 2)]
    assert re.search(r'Epoch\(val\) \[1\].*acc/top1: \d', first)

    second = fresh(folder, 'train.py', config, '--resume', '--cfg-options',
                   f'{epochs}=2')
    assert 'resumed epoch: 1, iter: 2' in second
    assert trained(second) == [(2, 1), (2, 2)]
    assert re.search(r'Epoch\(val\) \[2\].*acc/top1: \d', second)

    work_dir = folder / 'work_dirs/small'
    state = [torch.load(work_dir / f'epoch_{i}.pth', weights_only=False)
             for i in (1, 2)]
    assert [s['meta']['iter'] for s in state] == [2, 4]
    # Adam's steps show that its state went on, too.
    steps = [max(float(x['step']) for x in s['optimizer']['state'].values())
             for s in state]
    assert steps == [2, 4]
    keys = set(state[1]['state_dict'])
    assert 'backbone.blocks.0.attn.pool_q.conv.weight' in keys
    assert not [key for key in keys if 'rel_pos_mem' in key]

    tested = stock(folder, 'test.py', config, 'work_dirs/small/epoch_2.pth',
                   '--dump', 'scores.pkl')
    assert re.search(r'Epoch\(test\) \[6/6\].*acc/top1: \d', tested)
    assert (folder / 'scores.pkl').exists()


# MMAction2's config for AVA, and nothing of this package but its import. The
# pre-trained weights of the config would have to be fetched.
STOCK_DETECTION = """
_base_ = ('mmaction::detection/slowonly/slowonly_kinetics400-pretrained-'
          'r50_8xb16-4x16x1-20e_ava21-rgb.py')
custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)
model = dict(
    init_cfg=None,
    backbone=dict(depth=18, base_channels=8),
    roi_head=dict(bbox_head=dict(in_channels=64)))
data = dict(
    ann_file='ava.csv', exclude_file=None, label_file='labels.pbtxt',
    proposal_file='persons.pkl', data_prefix=dict(img='frames'))
train_dataloader = dict(batch_size=2, num_workers=1, dataset=data)
val_dataloader = dict(num_workers=1, dataset=data)
test_dataloader = dict(num_workers=1, dataset=data)
val_evaluator = dict(
    ann_file='ava.csv', label_file='labels.pbtxt', exclude_file=None)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
"""
LABELS = {2: 'stand', 5: 'sit', 11: 'walk'}


def write_ava(folder):
    """Frames, labels and persons of two videos, as AVA has them."""
    rng = np.random.default_rng(0)
    rows, persons = [], {}
    for video in ('one', 'two'):
        (folder / 'frames' / video).mkdir(parents=True)
        # AVA's clocks start at 900, its frames at 1, 30 a second.
        for number in range(1, 142):
            cv2.imwrite(str(folder / f'frames/{video}/img_{number:05}.jpg'),
                        rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        for second in (902, 903):
            boxes = np.array([[.1, .1, .5, .9], [.4, .2, .9, .8]])
            for person, (box, label) in enumerate(zip(boxes, (2, 11))):
                rows.append(','.join(
                    map(str, (video, second, *box, label, person))))
            persons[f'{video},{second:04d}'] = np.hstack((boxes, [[1]] * 2))
    (folder / 'ava.csv').write_text('\n'.join(rows) + '\n')
    (folder / 'labels.pbtxt').write_text(''.join(
        f'item {{\n  name: "{name}"\n  id: {i}\n}}\n'
        for i, name in LABELS.items()))
    dump(persons, folder / 'persons.pkl')


def test_detection(tmp_path, stock):
    pytest.importorskip('mmdet')
    write_ava(tmp_path)
    (tmp_path / 'detect.py').write_text(STOCK_DETECTION)
    log = stock(tmp_path, 'train.py', 'detect.py')
    assert trained(log) == [(1, 1), (1, 2)]
    assert re.search(r'Epoch\(val\) \[1\].*mAP/overall: [01]\.\d', log)
    log = stock(tmp_path, 'test.py', 'detect.py',
                'work_dirs/detect/epoch_1.pth', '--dump', 'found.pkl')
    assert re.search(r'Epoch\(test\) \[4/4\].*mAP/overall: [01]\.\d', log)
    found = load(tmp_path / 'found.pkl')
    assert len(found) == 4
    for sample in found:
        scores = sample['pred_instances']['scores']
        assert scores.shape == (2, 81)
        assert torch.isfinite(scores).all() and scores.max() > 0
