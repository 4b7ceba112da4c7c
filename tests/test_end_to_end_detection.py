# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detection from video files to mAP, whatever the batch and the processes."""
from functools import partial

import numpy as np
import pytest
from helpers.boxes import (
    DETECTOR,
    VIDEOS,
    assert_same_scores,
    box_dataset,
    set_metric,
    write_videos_with_boxes,
)
from helpers.models import SLOWONLY
from helpers.runs import (
    STRONG,
    assert_same,
    config,
    fork_two,
    make_runner,
    on_two_processes,
    train,
)
from mmengine.config import ConfigDict

pytest.importorskip('mmdet')
KEYS = sorted((name, t) for name, _, _, seconds, *_ in VIDEOS
              for t in range(1, seconds + 1))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_videos_with_boxes(tmp_path_factory.mktemp('boxes'))


def loader(data, train, batch_size, sampler, **dataset):
    return dict(batch_size=batch_size, num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=train),
                batch_sampler=dict(type=sampler),
                dataset=box_dataset(data, train, **dataset))


def online(data, train, batch_size=2):
    """Streams for a detector that remembers clips before."""
    return loader(data, train, batch_size, 'StreamBatchSampler',
                  type='OnlineAVADataset')


def windows(data, train, batch_size=2, size=2):
    """Windows for a detector whose clips share a memory."""
    size = dict(window_step=1) if train else dict(keyframes_per_item=size)
    return loader(data, train, batch_size, 'DistinctVideoBatchSampler',
                  type='CollaborativeAVADataset', num_clips=3, **size)


def run_config(folder, data, loader, test=False, **changes):
    cfg = config(folder, train=None if test else loader(data, True),
                 val=None if test else loader(data, False),
                 test=loader(data, False) if test else None, **changes)
    cfg.model = ConfigDict(DETECTOR)
    head = cfg.model.roi_head
    if getattr(loader, 'func', loader) is online:
        cfg.model.backbone.init_cfg = STRONG
        head.box_block.update(drop=0.2, attn_drop=0.2)
        head.bbox_head.dropout_ratio = 0.2
    else:
        cfg.model.type = 'CollaborativeFastRCNN'
        cfg.model.backbone = dict(SLOWONLY, type='mmaction.ResNet3dSlowOnly',
                                  spatial_strides=(1, 2, 2, 1))
        cfg.model.neck = dict(type='mmaction.CollaborativeMemory',
                              in_channels=32, zero_init=False)
        head.box_block = None
        head.bbox_roi_extractor.featmap_stride = 16
        head.bbox_head.update(
            in_channels=32, mlp_head=True, init_std=0.3, dropout_ratio=0.2)
    set_metric(cfg, data)
    cfg.custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]
    return cfg


@pytest.fixture(scope='module')
def trained_by_two(tmp_path_factory, data):
    """Folder of a training on two processes."""
    folder = tmp_path_factory.mktemp('two')
    cfg = run_config(
        folder / 'run', data, partial(online, batch_size=1), epochs=2)
    (folder / 'out.txt').write_text(fork_two('train', folder, cfg))
    return folder


@pytest.fixture(scope='module')
def trained(tmp_path_factory, data):
    """A runner after two epochs of windows."""
    folder = tmp_path_factory.mktemp('trained')
    return train(run_config(folder, data, windows, epochs=2))


def test_training_on_two_processes(trained_by_two):
    log = (trained_by_two / 'out.txt').read_text()
    assert 'find_unused_parameters' not in log
    assert log.count('mAP/overall: ') == 2
    # 14 keyframes of 4 videos.
    assert 'val memory: 10 of 14 clips' in log


@pytest.mark.parametrize('kind', ['online', 'windows'])
def test_scores_and_map_however_they_are_split(tmp_path, data, kind, request):
    if kind == 'online':
        folder = request.getfixturevalue('trained_by_two') / 'run'
        loaders = [partial(online, batch_size=x) for x in (1, 2, 5)]
    else:
        folder = request.getfixturevalue('trained').cfg.work_dir
        loaders = [partial(windows, batch_size=x, size=y)
                   for x, y in ((1, 1), (1, 3), (2, 16), (5, 2))]
    checkpoint = f'{folder}/epoch_2.pth'
    metrics, scores = {}, {}
    for i, each in enumerate(loaders):
        cfg = run_config(
            tmp_path / str(i), data, each, test=True, load_from=checkpoint)
        if i == 2:
            cfg.model.test_cfg.max_testing_views = 2
        runner = make_runner(cfg)
        metrics[i] = runner.test()
        scores[i] = runner.recorder.scores
    cfg = run_config(tmp_path / 'two', data, loaders[1], test=True)
    metrics['two'], dumped = on_two_processes(tmp_path, cfg, checkpoint)
    scores['two'] = {k: x['pred_instances']['scores']
                     for k, x in dumped.items()}
    assert_same_scores(metrics, scores)


def test_resuming_windows_changes_no_loss(tmp_path, data, trained):
    losses = trained.recorder.losses
    assert np.isfinite(losses).all()
    # Windows of two videos in each step, all of them in an epoch.
    for step in trained.recorder.clips:
        assert len({video for video, _ in step}) == 2
    assert sorted(set(sum(trained.recorder.clips[:7], []))) == KEYS
    resumed = train(
        run_config(tmp_path, data, windows, epochs=2, resume=True,
                   load_from=str(trained.cfg.work_dir) + '/epoch_1.pth'))
    assert_same(resumed.recorder.losses, losses[len(losses) // 2:])
