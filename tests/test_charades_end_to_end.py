# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The configs of Charades, on videos and on frames."""
from pathlib import Path

import pytest
import torch
from helpers.charades import write_frames, write_list, write_videos
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
ROWS = [('AAAAA', 'c000 0.00 1.00;c003 0.50 2.00', 2.),
        ('BBBBB', 'c001 0.00 1.00', 1.5), ('CCCCC', '', 1.5),
        ('DDDDD', 'c005 0.20 1.00;c003 0.00 1.00', 1.)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / 'list.csv', ROWS)
    write_videos(tmp_path / 'videos', ROWS)
    return tmp_path


def test_config_of_frames(root):
    """The frames take the place of the videos, and show the same."""
    init_default_scope('mmaction')
    write_frames(root / 'frames', ROWS)
    samples = []
    for name, source in (('charades_clips', dict(video='videos')),
                         ('charades_frame_clips', dict(img='frames'))):
        cfg = Config.fromfile(str(CONFIGS / f'_base_/datasets/{name}.py'))
        data = cfg.test_dataloader.dataset
        assert set(data.data_prefix) == set(source)
        # One video would be nothing to normalise over.
        assert cfg.train_dataloader.drop_last
        data.update(ann_file='list.csv', data_prefix=source, index_file=None,
                    num_classes=6)
        for step in data.pipeline:
            if 'scale' in step:
                step.scale = (-1, 32)
            if 'crop_size' in step:
                step.crop_size = 32
        samples.append(DATASETS.build(data)[0])
    one, two = samples
    assert one['inputs'].shape == two['inputs'].shape == (30, 3, 64, 32, 32)
    difference = one['inputs'].float() - two['inputs'].float()
    assert difference.abs().mean() < 12
    assert torch.equal(one['data_samples'].gt_label,
                       two['data_samples'].gt_label)
