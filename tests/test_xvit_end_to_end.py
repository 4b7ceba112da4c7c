# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""X-ViT trains, validates, resumes and tests by MMAction2's own tools."""
import re
from pathlib import Path

import mmaction
import pytest
from helpers.runs import NUM_CLIPS, config, loader, write_videos
from helpers.shell import Shell
from mmengine.fileio import load

import mmaction_memvit

TOOLS = Path(mmaction.__file__).parent / '.mim/tools'
if not TOOLS.is_dir():
    TOOLS = Path(mmaction_memvit.__file__).parents[1] / 'tools'


@pytest.mark.parametrize('stream', [True, False])
def test_trains_validates_resumes_and_tests(stream, tmp_path,
                                            tmp_path_factory):
    write_videos(tmp_path)
    data, val = (loader(tmp_path, train=x) for x in (True, False))
    cfg = config(tmp_path / 'run', data, val, val)
    cfg.model.type = 'OnlineRecognizer3D' if stream else 'Recognizer3D'
    cfg.model.backbone = dict(
        type='XViT',
        arch=dict(embed_dims=32, num_layers=2, num_heads=2),
        patch_size=8,
        spatial_size=32,
        stream=stream)
    cfg.dump(str(tmp_path / 'config.py'))
    shell = Shell(tmp_path, tmp_path_factory.mktemp('b'))
    epochs = '--cfg-options train_cfg.max_epochs'
    logger = 'default_hooks.logger.interval=1'

    first = shell(f'python {TOOLS}/train.py config.py {epochs}=1 {logger}')
    losses = re.findall(r'Epoch\(train\).* loss: ([\d.]+)', first)
    # Lanes of 6 + 4 + 2 and of 5 + 3 clips.
    assert len(losses) >= 10 and all(0 < float(x) < 100 for x in losses)
    assert re.search(r'Epoch\(val\) \[1\].*acc/top1: \d', first)
    second = shell(
        f'python {TOOLS}/train.py config.py --resume {epochs}=2 {logger}')
    assert 'resumed epoch: 1' in second
    assert re.search(r'Epoch\(val\) \[2\].*acc/top1: \d', second)
    tested = shell(f'python {TOOLS}/test.py config.py run/epoch_2.pth '
                   '--dump scores.pkl')
    assert re.search(r'Epoch\(test\).*acc/top1: \d', tested)
    assert len(load(tmp_path / 'scores.pkl')) == sum(NUM_CLIPS)
