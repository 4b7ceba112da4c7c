#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Trains, resumes and tests a tiny model through MMAction2's own tools.

The config lies outside the project, inherits MMAction2's stock MViT config
and gains one line, ``custom_imports``. Everything runs in a fresh working
directory, on videos made here. Shows that an environment can do recognition:

    python tools/dev/smoke_recognition.py --work-dir /tmp/smoke
"""
import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIG = """\
_base_ = ['mmaction::recognition/mvit/{stock}']
custom_imports = dict(imports=['mmaction_memvit'], allow_failed_imports=False)

arch = dict(
    _delete_=True,
    embed_dims=16,
    num_layers=3,
    num_heads=1,
    downscale_indices=[1, 2])
model = dict(
    backbone=dict(
        type='{backbone}', arch=arch, spatial_size=32, temporal_size=4),
    data_preprocessor=dict(blending=None),
    cls_head=dict(in_channels=64, num_classes=2))

pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=1),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
dataset = dict(
    _delete_=True,
    type='VideoDataset',
    ann_file='videos.txt',
    data_prefix=dict(video='videos'),
    pipeline=pipeline)
loader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dataset)
# _delete_: MMEngine would hand the inherited `_scope_` to the function.
train_dataloader = dict(
    **loader, collate_fn=dict(_delete_=True, type='pseudo_collate'))
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
"""
STOCK = 'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py'


def make_videos(folder: Path, number: int = 4, num_frames: int = 24) -> None:
    """Writes small videos, bright or dark by label, and their list."""
    import cv2
    import numpy as np
    (folder / 'videos').mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = []
    for index in range(number):
        label, name = index % 2, f'{index}.mp4'
        writer = cv2.VideoWriter(
            str(folder / 'videos' / name), cv2.VideoWriter_fourcc(*'mp4v'), 10,
            (64, 64))
        for _ in range(num_frames):
            frame = rng.integers(0, 100, (64, 64, 3)) + 120 * label
            writer.write(frame.astype(np.uint8))
        writer.release()
        lines.append(f'{name} {label}\n')
    (folder / 'videos.txt').write_text(''.join(lines), encoding='utf-8')


def write_config(folder: Path, backbone: str) -> Path:
    """Writes the config, which names no path of the project."""
    path = folder / 'user_config.py'
    path.write_text(
        CONFIG.format(stock=STOCK, backbone=backbone), encoding='utf-8')
    return path


def host_tool(name: str) -> Path:
    """Finds a tool of the installed MMAction2, without importing it."""
    spec = importlib.util.find_spec('mmaction')
    if spec is None or spec.origin is None:
        sys.exit('MMAction2 is not installed: pip install mmaction2==1.2.0')
    return Path(spec.origin).parent / '.mim' / 'tools' / name


def run(what: str, folder: Path, tool: Path, *arguments: str) -> str:
    """Runs a tool in ``folder`` and returns its output; ends on failure."""
    env = dict(os.environ)
    env.setdefault('OMP_NUM_THREADS', '1')
    done = subprocess.run([sys.executable, str(tool), *arguments],
                          cwd=folder,
                          env=env,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          text=True)
    log = folder / f'{what}.log'
    log.write_text(done.stdout, encoding='utf-8')
    if done.returncode != 0:
        sys.exit(f'{done.stdout[-4000:]}\n{what} FAILED, log: {log}')
    print(f'{what}: ok')
    return done.stdout


def check(condition: bool, problem: str) -> None:
    """Ends the program with ``problem`` unless the condition holds."""
    if not condition:
        sys.exit(f'FAILED: {problem}')


def main() -> None:
    """Runs train, resume and test."""
    parser = argparse.ArgumentParser(
        description='Train, resume and test a tiny model through the tools '
        'of the installed MMAction2')
    parser.add_argument(
        '--work-dir', help='an empty folder; default: a temporary one')
    parser.add_argument(
        '--backbone',
        default='MViT',
        help='MViT (MMAction2) or MeMViT (default: MViT)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.work_dir or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        make_videos(folder)
        config = str(write_config(folder, args.backbone))
        train, test = host_tool('train.py'), host_tool('test.py')

        output = run('train', folder, train, config, '--work-dir', 'out')
        check('acc/top1' in output, 'training did not validate')
        output = run('resume', folder, train, config, '--work-dir', 'out',
                     '--resume', '--cfg-options', 'train_cfg.max_epochs=2')
        check('resumed epoch: 1' in output and 'Epoch(train) [2]' in output,
              'training did not go on at epoch 2')
        output = run('test', folder, test, config, 'out/epoch_2.pth',
                     '--work-dir', 'out_test')
        check('acc/top1' in output, 'the test printed no accuracy')


if __name__ == '__main__':
    main()
