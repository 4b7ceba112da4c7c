# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""MMAction2's own tools, with a config and a folder of the user's."""
import os
import re
import subprocess
import sys
from pathlib import Path

import mmaction
import pytest
import torch
from helpers.videos import write_video
from mmengine.config import Config

pytest.importorskip('decord')
TOOLS = Path(mmaction.__file__).parent / '.mim/tools'
STOCK = ('mmaction::recognition/mvit/'
         'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py')

# All that a user changes.
REMEMBERING = f"""
_base_ = '{STOCK}'
custom_imports = dict(
    imports=['mmaction_memvit'], allow_failed_imports=False)
model = dict(backbone=dict(type='MeMViT'))
"""

# The user's videos, and a model and images that are small enough for a test.
# RandAugment is left out, as it needs PyTorchVideo.
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
head = [dict(type='DecordInit')]
tail = [
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 36)),
    dict(type='CenterCrop', crop_size=32),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
clip = dict(type='SampleFrames', clip_len=16, frame_interval=4)
train_pipeline = [*head, clip, *tail[:2],
                  dict(type='RandomResizedCrop'),
                  dict(type='Resize', scale=(32, 32), keep_ratio=False),
                  dict(type='Flip', flip_ratio=0.5),
                  dict(type='RandomErasing', erase_prob=0.25, mode='rand'),
                  *tail[-2:]]
val_pipeline = [*head, dict(test_mode=True, **clip), *tail]
test_pipeline = [*head, dict(test_mode=True, num_clips=5, **clip), *tail]
data = dict(ann_file='data/list.txt', data_prefix=dict(video='data/videos'))
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(pipeline=val_pipeline, **data))
test_dataloader = dict(
    num_workers=1, dataset=dict(pipeline=test_pipeline, **data))
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
"""


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


def run(folder, tool, *arguments):
    # No PYTHONPATH: the package is found as any that is installed.
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, str(TOOLS / tool), 'configs/small.py', *arguments],
        cwd=str(folder),
        env=dict(env, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def trained(text):
    """Epochs and steps of which a log tells the loss."""
    found = re.findall(
        r'Epoch\(train\)\s+\[(\d+)\]\[(\d+)/\d+\].* loss: ([\d.]+)', text)
    assert all(0 < float(loss) < 100 for *_, loss in found)
    return [(int(epoch), int(step)) for epoch, step, _ in found]


def test_train_validate_resume_and_test(folder):
    epochs = 'train_cfg.max_epochs'
    first = run(folder, 'train.py', '--cfg-options', f'{epochs}=1')
    # 6 videos twice (repeated augmentation) in batches of 4 videos.
    assert trained(first) == [(1, 1), (1, 2)]
    assert re.search(r'Epoch\(val\) \[1\].*acc/top1: \d', first)

    second = run(folder, 'train.py', '--resume', '--cfg-options',
                 f'{epochs}=2')
    assert 'resumed epoch: 1, iter: 2' in second
    assert trained(second) == [(2, 1), (2, 2)]
    assert re.search(r'Epoch\(val\) \[2\].*acc/top1: \d', second)

    work_dir = folder / 'work_dirs/small'
    state = [
        torch.load(work_dir / f'epoch_{i}.pth', weights_only=False)
        for i in (1, 2)
    ]
    assert [s['meta']['iter'] for s in state] == [2, 4]
    # Adam's steps show that its state went on, too.
    steps = [
        max(float(x['step']) for x in s['optimizer']['state'].values())
        for s in state
    ]
    assert steps == [2, 4]
    assert any('attn' in key and 'mem' in key for key in state[1]
               ['state_dict'])

    tested = run(folder, 'test.py', 'work_dirs/small/epoch_2.pth', '--dump',
                 'scores.pkl')
    assert re.search(r'Epoch\(test\) \[6/6\].*acc/top1: \d', tested)
    assert (folder / 'scores.pkl').exists()


def test_nothing_but_two_settings_differ(folder):
    """The claim of the test above, made about the config itself."""
    ours = Config.fromfile(str(folder / 'configs/remembering.py')).to_dict()
    (folder / 'configs/stock.py').write_text(f"_base_ = '{STOCK}'")
    stock = Config.fromfile(str(folder / 'configs/stock.py')).to_dict()
    assert ours.pop('custom_imports')['imports'] == ['mmaction_memvit']
    assert ours['model']['backbone'].pop('type') == 'MeMViT'
    assert stock['model']['backbone'].pop('type') == 'MViT'
    assert ours == stock
